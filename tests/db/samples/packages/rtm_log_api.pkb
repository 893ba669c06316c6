create or replace package body rtm_log_api
as
  g_failures pls_integer := 0;

  procedure note_failure(p_error in varchar2) is
  begin
    g_failures := g_failures + length(p_error);
  end note_failure;

  procedure log_event(p_text in varchar2, p_source in varchar2 default null) is
    pragma autonomous_transaction;
  begin
    insert into note_archive (id, title, body)
    values (1, substr(p_text, 1, 200), p_source);
    commit;
  exception
    when others then
      rollback;
      note_failure(p_error => sqlerrm);
  end log_event;
end rtm_log_api;
/
