-- Removes everything that install.sql and 09_rtm_wake_queue.sql create in this schema, stored settings and messages that are
-- not sent yet included. Asks before it drops the log; just Enter, or a script without input, keeps it. Safe to run twice.
--
-- What a DBA granted stays, see docs/oracle.md. APEX plug-ins are deleted in App Builder.

set define on verify off feedback off serveroutput on
whenever sqlerror exit failure rollback

prompt
accept rtm_drop_log char format a1 default 'N' prompt 'Drop the log RTM_LOG with all its rows? (y/N) '

declare
  function is_there(p_name in varchar2) return boolean is
    l_found pls_integer;
  begin
    select count(*) into l_found from user_objects o where o.object_name = p_name;
    return l_found > 0;
  end is_there;

  procedure drop_job(p_name in varchar2) is
  begin
    if is_there(p_name => p_name) then
      -- force: the sending job is running most of the time.
      dbms_scheduler.drop_job(job_name => p_name, force => true);
      dbms_output.put_line('dropped: job ' || p_name);
    end if;
  end drop_job;

  procedure drop_queue is
    -- Dynamic: without the optional queue this schema has no privilege on DBMS_AQADM, and the block would not compile.
    c_drop constant varchar2(200) := 'begin dbms_aqadm.drop_queue_table(queue_table => :queue_table, force => true); end;';
  begin
    if is_there(p_name => 'RTM_WAKE_TABLE') then
      execute immediate c_drop using in 'RTM_WAKE_TABLE';
      dbms_output.put_line('dropped: queue RTM_WAKE_QUEUE with its table');
    end if;
  end drop_queue;

  procedure drop_object(p_name in varchar2, p_statement in varchar2) is
  begin
    if is_there(p_name => p_name) then
      execute immediate p_statement;
      dbms_output.put_line('dropped: ' || p_name);
    end if;
  end drop_object;
begin
  drop_job(p_name => 'RTM_DRAIN_JOB');
  drop_job(p_name => 'RTM_PURGE_JOB');
  drop_queue;

  drop_object(p_name => 'WEBSOCKET_PKG', p_statement => 'drop package websocket_pkg');
  drop_object(p_name => 'WEBSOCKET_API', p_statement => 'drop package websocket_api');
  drop_object(p_name => 'WEBSOCKET_SEND_BROADCAST', p_statement => 'drop procedure websocket_send_broadcast');
  drop_object(p_name => 'RTM_MLE_POST', p_statement => 'drop function rtm_mle_post');
  drop_object(p_name => 'WEBSOCKET_SENDER_MODULE', p_statement => 'drop mle module websocket_sender_module');
  drop_object(p_name => 'RTM_JOB', p_statement => 'drop package rtm_job');
  drop_object(p_name => 'RTM_OUTBOX_API', p_statement => 'drop package rtm_outbox_api');
  drop_object(p_name => 'RTM_TOKEN', p_statement => 'drop package rtm_token');
  drop_object(p_name => 'RTM_TRANSPORT', p_statement => 'drop package rtm_transport');
  drop_object(p_name => 'RTM_MESSAGE', p_statement => 'drop package rtm_message');
  drop_object(p_name => 'RTM_LOG_API', p_statement => 'drop package rtm_log_api');
  drop_object(p_name => 'RTM_SECRET', p_statement => 'drop package rtm_secret');
  drop_object(p_name => 'RTM_CONFIG_API', p_statement => 'drop package rtm_config_api');
  drop_object(p_name => 'RTM_ERROR', p_statement => 'drop package rtm_error');
  drop_object(p_name => 'RTM_OUTBOX_STATUS', p_statement => 'drop view rtm_outbox_status');
  drop_object(p_name => 'RTM_SETTINGS', p_statement => 'drop view rtm_settings');
  drop_object(p_name => 'RTM_OUTBOX_DRAIN', p_statement => 'drop table rtm_outbox_drain purge');
  drop_object(p_name => 'RTM_OUTBOX', p_statement => 'drop table rtm_outbox purge');
  -- Purged and not put into the recycle bin: it holds the API key and the token secret.
  drop_object(p_name => 'RTM_CONFIG', p_statement => 'drop table rtm_config purge');
  if upper('&rtm_drop_log') = 'Y' then
    drop_object(p_name => 'RTM_LOG_LAST_HOUR', p_statement => 'drop view rtm_log_last_hour');
    drop_object(p_name => 'RTM_LOG', p_statement => 'drop table rtm_log purge');
  elsif is_there(p_name => 'RTM_LOG') then
    dbms_output.put_line('kept: RTM_LOG and RTM_LOG_LAST_HOUR');
  end if;
end;
/

undefine rtm_drop_log
whenever sqlerror continue
set feedback on
