create or replace package body rtm_outbox_api
as
  /** Wakes a relay. One that is not woken polls, so a failure here must not cost the caller the message. */
  procedure ring(p_source in varchar2) is
  begin
    rtm_wake;
  exception
    when others then
      rtm_log_api.log_event(
        p_source     => p_source,
        p_channel    => null,
        p_event_name => null,
        p_extra_info => 'RTM_WAKE failed, the relay will find the message by polling',
        p_error      => sqlerrm,
        p_status     => rtm_log_api.c_info
      );
  end ring;

  procedure enqueue(p_publication in rtm_message.t_publication, p_source in varchar2) is
  begin
    begin
      insert into rtm_outbox (message_id, channel, event_name, payload, meta, source)
      values (
        nvl(p_publication.id, rtm_message.new_id()),
        p_publication.channel,
        p_publication.event_name,
        p_publication.payload,
        p_publication.meta,
        substr(p_source, 1, 64)
      );
    exception
      when others then
        rtm_error.fail(p_code => rtm_error.c_outbox_insert_failed, p_1 => sqlerrm, p_keep_stack => true);
        raise;
    end;
    ring(p_source => p_source);
  end enqueue;

  procedure retry(p_id in number) is
  begin
    update rtm_outbox
       set status = c_pending, attempts = 0, next_attempt_at = systimestamp
     where id = p_id
       and status = c_parked;
    if sql%rowcount = 0 then
      rtm_error.fail(p_code => rtm_error.c_outbox_row_unknown, p_1 => to_char(p_id));
    end if;
  end retry;

  function retry_all return pls_integer is
  begin
    update rtm_outbox
       set status = c_pending, attempts = 0, next_attempt_at = systimestamp
     where status = c_parked;
    return sql%rowcount;
  end retry_all;
end rtm_outbox_api;
/
