create or replace package body rtm_log_api
as
  c_channel_characters constant pls_integer := 500;
  c_text_max_bytes     constant pls_integer := 4000;
  c_purge_rows         constant pls_integer := 10000;

  g_failures     pls_integer := 0;
  g_last_failure varchar2(4000);

  function status_of(p_status in varchar2, p_error in varchar2) return varchar2 is
  begin
    return coalesce(p_status, case when p_error is not null then c_failed else c_sent end);
  end status_of;

  function is_wanted(p_status in varchar2) return boolean is
  begin
    return case rtm_config_api.get_value(p_name => rtm_config_api.c_log_level)
      when rtm_config_api.c_log_off then false
      when rtm_config_api.c_log_errors then p_status in (c_failed, c_refused, c_parked)
      else true
    end;
  end is_wanted;

  /** The one insert of the log. Raises what the database raises. */
  procedure insert_row(
    p_source       in varchar2,
    p_channel      in varchar2,
    p_event_name   in varchar2,
    p_payload_json in clob,
    p_http_status  in number,
    p_extra_info   in varchar2,
    p_error        in varchar2,
    p_status       in varchar2,
    p_duration_ms  in number,
    p_message_id   in varchar2
  ) is
    l_status     rtm_log.status%type := status_of(p_status => p_status, p_error => p_error);
    l_payload    rtm_log.payload%type;
    -- Cut here and not in the statement: SQL takes no VARCHAR2 of more than 4000 bytes, not even to shorten it
    -- (ORA-01461), and the row that tells of a channel that is too long would be the one that is missing.
    l_source     varchar2(64 char) := nvl(substr(p_source, 1, 64), 'UNKNOWN');
    l_channel    varchar2(500 char) := substr(p_channel, 1, c_channel_characters);
    l_event_name varchar2(130 char) := substr(p_event_name, 1, 130);
    l_message_id varchar2(128 char) := substr(p_message_id, 1, 128);
    l_extra_info varchar2(4000) := substrb(p_extra_info, 1, c_text_max_bytes);
    l_error      varchar2(4000) := substrb(p_error, 1, c_text_max_bytes);
  begin
    if not is_wanted(p_status => l_status) then
      return;
    end if;
    if rtm_config_api.get_value(p_name => rtm_config_api.c_log_payload) = rtm_config_api.c_yes then
      l_payload := p_payload_json;
    end if;
    insert into rtm_log (
      source, channel, event_name, message_id, status, http_status, duration_ms,
      payload_characters, payload, extra_info, error, app_user
    ) values (
      l_source,
      l_channel,
      l_event_name,
      l_message_id,
      l_status,
      p_http_status,
      round(p_duration_ms),
      dbms_lob.getlength(p_payload_json),
      l_payload,
      l_extra_info,
      l_error,
      substr(sys_context('APEX$SESSION', 'APP_USER'), 1, 255)
    );
  end insert_row;

  procedure note_failure(p_error in varchar2) is
  begin
    g_failures := g_failures + 1;
    g_last_failure := substrb(p_error, 1, c_text_max_bytes);
  end note_failure;

  procedure log_event(
    p_source       in varchar2,
    p_channel      in varchar2,
    p_event_name   in varchar2,
    p_payload_json in clob default null,
    p_http_status  in number default null,
    p_extra_info   in varchar2 default null,
    p_error        in varchar2 default null,
    p_status       in varchar2 default null,
    p_duration_ms  in number default null,
    p_message_id   in varchar2 default null
  ) is
    pragma autonomous_transaction;
  begin
    insert_row(
      p_source       => p_source,
      p_channel      => p_channel,
      p_event_name   => p_event_name,
      p_payload_json => p_payload_json,
      p_http_status  => p_http_status,
      p_extra_info   => p_extra_info,
      p_error        => p_error,
      p_status       => p_status,
      p_duration_ms  => p_duration_ms,
      p_message_id   => p_message_id
    );
    commit;
  exception
    -- A full tablespace must not turn a delivered message into an error page. The failure is counted instead.
    when others then
      rollback;
      note_failure(p_error => sqlerrm);
  end log_event;

  procedure log_in_transaction(
    p_source       in varchar2,
    p_channel      in varchar2,
    p_event_name   in varchar2,
    p_payload_json in clob default null,
    p_http_status  in number default null,
    p_extra_info   in varchar2 default null,
    p_error        in varchar2 default null,
    p_status       in varchar2 default null,
    p_duration_ms  in number default null,
    p_message_id   in varchar2 default null
  ) is
  begin
    insert_row(
      p_source       => p_source,
      p_channel      => p_channel,
      p_event_name   => p_event_name,
      p_payload_json => p_payload_json,
      p_http_status  => p_http_status,
      p_extra_info   => p_extra_info,
      p_error        => p_error,
      p_status       => p_status,
      p_duration_ms  => p_duration_ms,
      p_message_id   => p_message_id
    );
  exception
    -- The failed insert undid itself; the job's own work stays.
    when others then
      note_failure(p_error => sqlerrm);
  end log_in_transaction;

  function purge(p_keep_days in pls_integer default null) return pls_integer is
    pragma autonomous_transaction;
    l_keep_days pls_integer :=
      nvl(p_keep_days, rtm_config_api.get_number(p_name => rtm_config_api.c_log_keep_days));
    l_limit   rtm_log.created_at%type := systimestamp - numtodsinterval(l_keep_days, 'DAY');
    l_deleted pls_integer := 0;
    l_piece   pls_integer;
  begin
    loop
      delete from rtm_log
       where created_at < l_limit
         and rownum <= c_purge_rows;
      l_piece := sql%rowcount;
      commit;
      l_deleted := l_deleted + l_piece;
      exit when l_piece < c_purge_rows;
    end loop;
    return l_deleted;
  end purge;

  function failure_count return pls_integer is
  begin
    return g_failures;
  end failure_count;

  function last_failure return varchar2 is
  begin
    return g_last_failure;
  end last_failure;
end rtm_log_api;
/
