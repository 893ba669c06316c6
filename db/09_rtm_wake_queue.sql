prompt RTM_WAKE_QUEUE: wakes a relay at the commit (optional)
-- For sites where a relay fetches the messages and shall not poll: each transaction that stores messages puts one small
-- message into this queue, which the relay waits on. Nothing but the relay takes messages out: without one, set wake back
-- to NONE, or the queue only grows. A DBA grants before:
--
--   grant execute on dbms_aq to rtm;
--   grant execute on dbms_aqadm to rtm;
--
-- Safe to run again.

declare
  function is_there(p_name in varchar2) return boolean is
    l_found pls_integer;
  begin
    select count(*) into l_found from user_objects o where o.object_name = p_name;
    return l_found > 0;
  end is_there;
begin
  if not is_there(p_name => 'RTM_WAKE_TABLE') then
    dbms_aqadm.create_queue_table(queue_table => 'RTM_WAKE_TABLE', queue_payload_type => 'RAW');
  end if;
  if not is_there(p_name => 'RTM_WAKE_QUEUE') then
    dbms_aqadm.create_queue(queue_name => 'RTM_WAKE_QUEUE', queue_table => 'RTM_WAKE_TABLE');
  end if;
  dbms_aqadm.start_queue(queue_name => 'RTM_WAKE_QUEUE');
  rtm_config_api.set_value(p_name => rtm_config_api.c_wake, p_value => rtm_config_api.c_wake_queue);
  commit;
end;
/
