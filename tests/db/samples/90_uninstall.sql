set define off
begin
  dbms_scheduler.drop_job(job_name => 'NOTE_PURGE_JOB', force => true);
end;
/
drop package note_job;
drop package note_api;
drop package rtm_log_api;
drop package rtm_error;
drop function note_send;
drop view note_titles;
drop mle env note_env;
drop mle module note_module;
drop table note cascade constraints;

begin
  execute immediate 'drop table note_archive';
end;
/
