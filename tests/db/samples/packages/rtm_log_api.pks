create or replace package rtm_log_api
  accessible by (package note_api, package note_job)
as
  procedure log_event(p_text in varchar2, p_source in varchar2 default null);
end rtm_log_api;
/
