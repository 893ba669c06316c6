create or replace package body rtm_outbox_api
as
  -- Dynamic, with a text that never changes: without a relay nobody needs the privilege on DBMS_AQ.
  c_ring constant varchar2(500 char) := q'[
    declare
      l_options    dbms_aq.enqueue_options_t;
      l_properties dbms_aq.message_properties_t;
      l_id         raw(16);
    begin
      dbms_aq.enqueue(
        queue_name         => :queue_name,
        enqueue_options    => l_options,
        message_properties => l_properties,
        payload            => hextoraw('01'),
        msgid              => l_id
      );
    end;]';

  g_rung_in varchar2(100 char);

  /**
   * Wakes a relay at the commit, once for each transaction, where the setting wake is QUEUE. A relay that is not woken
   * polls, so a failure here must not cost the caller the message: it is logged and not raised.
   */
  procedure ring(p_source in varchar2) is
    l_transaction varchar2(100 char);
  begin
    if rtm_config_api.get_value(p_name => rtm_config_api.c_wake) <> rtm_config_api.c_wake_queue then
      return;
    end if;
    l_transaction := dbms_transaction.local_transaction_id();
    if l_transaction = g_rung_in then
      return;
    end if;
    -- CURRENT_USER is the owner of this package, whoever calls it, and the queue is the owner's.
    execute immediate c_ring using in sys_context('USERENV', 'CURRENT_USER') || '.' || c_wake_queue;
    g_rung_in := l_transaction;
  exception
    when others then
      rtm_log_api.log_event(
        p_source     => p_source,
        p_channel    => null,
        p_event_name => null,
        p_extra_info => 'the relay could not be woken and will find the message by polling',
        p_error      => sqlerrm,
        p_status     => rtm_log_api.c_info
      );
  end ring;

  procedure enqueue(p_publication in rtm_message.t_publication, p_source in varchar2) is
    l_source rtm_outbox.source%type := substr(p_source, 1, 64);
  begin
    begin
      insert into rtm_outbox (message_id, channel, event_name, payload, meta, source)
      values (
        nvl(p_publication.id, rtm_message.new_id()),
        p_publication.channel,
        p_publication.event_name,
        p_publication.payload,
        p_publication.meta,
        l_source
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
