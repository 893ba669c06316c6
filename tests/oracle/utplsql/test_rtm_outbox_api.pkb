create or replace package body test_rtm_outbox_api
as
  c_channel constant varchar2(30) := 'test_rtm_outbox_api';

  procedure send is
  begin
    websocket_api.broadcast_item(
      p_channel  => c_channel,
      p_payload  => '{"a":1}',
      p_delivery => websocket_api.c_on_commit
    );
  end send;

  function count_of(p_status in varchar2) return pls_integer is
    l_count pls_integer;
  begin
    select count(*)
      into l_count
      from rtm_outbox o
     where o.channel = c_channel
       and o.status = p_status
       and o.message_id is not null;
    return l_count;
  end count_of;

  function id_of_last return number is
    l_id number;
  begin
    select max(o.id)
      into l_id
      from rtm_outbox o
     where o.channel = c_channel;
    return l_id;
  end id_of_last;

  procedure stores_a_message is
  begin
    send();
    ut.expect(count_of(p_status => rtm_outbox_api.c_pending)).to_equal(1);
  end stores_a_message;

  procedure follows_a_rollback is
  begin
    savepoint before_it;
    send();
    rollback to before_it;
    ut.expect(count_of(p_status => rtm_outbox_api.c_pending)).to_equal(0);
  end follows_a_rollback;

  procedure refuses_own_keys is
  begin
    websocket_api.broadcast_item(
      p_channel  => c_channel,
      p_api_key  => 'mine',
      p_delivery => websocket_api.c_on_commit
    );
  end refuses_own_keys;

  procedure retries_parked_messages is
  begin
    send();
    update rtm_outbox
       set status = rtm_outbox_api.c_parked, attempts = 5
     where channel = c_channel;
    rtm_outbox_api.retry(p_id => id_of_last());
    ut.expect(count_of(p_status => rtm_outbox_api.c_pending)).to_equal(1);
    ut.expect(count_of(p_status => rtm_outbox_api.c_parked)).to_equal(0);
  end retries_parked_messages;

  procedure refuses_to_retry_others is
  begin
    send();
    rtm_outbox_api.retry(p_id => id_of_last());
  end refuses_to_retry_others;

  procedure log_survives_a_rollback is
    l_count pls_integer;
  begin
    rtm_log_api.log_event(p_source => c_channel, p_channel => c_channel, p_event_name => null);
    rollback;
    select count(*)
      into l_count
      from rtm_log l
     where l.source = c_channel;
    ut.expect(l_count).to_be_greater_than(0);
    delete from rtm_log where source = c_channel;
    commit;
  end log_survives_a_rollback;

  procedure log_never_raises is
    l_before pls_integer := rtm_log_api.failure_count();
  begin
    rtm_log_api.log_event(p_source => c_channel, p_channel => 'c', p_event_name => null, p_status => 'UNKNOWN');
    ut.expect(rtm_log_api.failure_count()).to_equal(l_before + 1);
    ut.expect(rtm_log_api.last_failure()).to_be_like('ORA-02290%');
  end log_never_raises;
end test_rtm_outbox_api;
/
