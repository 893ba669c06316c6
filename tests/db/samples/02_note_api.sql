prompt NOTE_API: adds and reads notes
@@packages/note_api.pks
show errors
@@packages/note_api.pkb
show errors

begin
  dbms_scheduler.create_job(
    job_name        => 'NOTE_PURGE_JOB',
    job_type        => 'PLSQL_BLOCK',
    job_action      => 'begin note_job.run; end;',
    repeat_interval => 'freq=daily',
    enabled         => true
  );
end;
/

create or replace package note_job
as
  procedure run;
end note_job;
/

create or replace package body note_job
as
  procedure run is
  begin
    delete from note_archive where id < 100;
    commit;
  end run;
end note_job;
/
