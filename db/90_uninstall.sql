-- Removes everything that install.sql and 09_rtm_wake_queue.sql create in this schema, stored settings and messages that
-- are not sent yet included. Asks before it drops the log; just Enter keeps it. Safe to run twice. Ends with a list of
-- what is left.
--
-- Stop relays and applications first: what holds a lock makes DROP TABLE end in ORA-00054. Then run it again.
--
-- What a DBA granted stays, see docs/oracle.md. APEX plug-ins are deleted in App Builder.

set define on verify off feedback off serveroutput on
whenever sqlerror exit failure rollback

prompt
define rtm_drop_log = N
accept rtm_drop_log char format a1 default 'N' prompt 'Drop the log RTM_LOG with all its rows? (y/N) '

declare
  l_drops_log boolean := upper('&rtm_drop_log') = 'Y';

  function is_there(p_name in varchar2) return boolean is
    l_found pls_integer;
  begin
    select count(*) into l_found from user_objects o where o.object_name = p_name;
    return l_found > 0;
  end is_there;
begin
  -- First what runs. force: the sending job is at work most of the time.
  if is_there(p_name => 'RTM_DRAIN_JOB') then
    dbms_scheduler.drop_job(job_name => 'RTM_DRAIN_JOB', force => true);
  end if;
  if is_there(p_name => 'RTM_PURGE_JOB') then
    dbms_scheduler.drop_job(job_name => 'RTM_PURGE_JOB', force => true);
  end if;
  -- Dynamic: without the optional queue this schema has no privilege on DBMS_AQADM, and the block would not compile.
  if is_there(p_name => 'RTM_WAKE_TABLE') then
    execute immediate
      'begin dbms_aqadm.drop_queue_table(queue_table => ''RTM_WAKE_TABLE'', force => true); end;';
  end if;

  if is_there(p_name => 'RTM_PLUGIN') then
    execute immediate 'drop package rtm_plugin';
  end if;
  if is_there(p_name => 'WEBSOCKET_PKG') then
    execute immediate 'drop package websocket_pkg';
  end if;
  if is_there(p_name => 'WEBSOCKET_API') then
    execute immediate 'drop package websocket_api';
  end if;
  if is_there(p_name => 'WEBSOCKET_SEND_BROADCAST') then
    execute immediate 'drop procedure websocket_send_broadcast';
  end if;
  if is_there(p_name => 'RTM_MLE_POST') then
    execute immediate 'drop function rtm_mle_post';
  end if;
  if is_there(p_name => 'RTM_JOB') then
    execute immediate 'drop package rtm_job';
  end if;
  if is_there(p_name => 'RTM_OUTBOX_API') then
    execute immediate 'drop package rtm_outbox_api';
  end if;
  if is_there(p_name => 'RTM_TOKEN') then
    execute immediate 'drop package rtm_token';
  end if;
  if is_there(p_name => 'RTM_TRANSPORT') then
    execute immediate 'drop package rtm_transport';
  end if;
  if is_there(p_name => 'RTM_MESSAGE') then
    execute immediate 'drop package rtm_message';
  end if;
  if is_there(p_name => 'RTM_LOG_API') then
    execute immediate 'drop package rtm_log_api';
  end if;
  if is_there(p_name => 'RTM_SECRET') then
    execute immediate 'drop package rtm_secret';
  end if;
  if is_there(p_name => 'RTM_CONFIG_API') then
    execute immediate 'drop package rtm_config_api';
  end if;
  if is_there(p_name => 'RTM_ERROR') then
    execute immediate 'drop package rtm_error';
  end if;
  if is_there(p_name => 'RTM_OUTBOX_STATUS') then
    execute immediate 'drop view rtm_outbox_status';
  end if;
  if is_there(p_name => 'RTM_SETTINGS') then
    execute immediate 'drop view rtm_settings';
  end if;
  if l_drops_log and is_there(p_name => 'RTM_LOG_LAST_HOUR') then
    execute immediate 'drop view rtm_log_last_hour';
  end if;
  if is_there(p_name => 'WEBSOCKET_SENDER_MODULE') then
    execute immediate 'drop mle module websocket_sender_module';
  end if;
  -- Purged and not put into the recycle bin: one of them holds the API key and the token secret.
  if is_there(p_name => 'RTM_OUTBOX_DRAIN') then
    execute immediate 'drop table rtm_outbox_drain purge';
  end if;
  if is_there(p_name => 'RTM_OUTBOX') then
    execute immediate 'drop table rtm_outbox purge';
  end if;
  if is_there(p_name => 'RTM_CONFIG') then
    execute immediate 'drop table rtm_config purge';
  end if;
  if l_drops_log and is_there(p_name => 'RTM_LOG') then
    execute immediate 'drop table rtm_log purge';
  end if;
end;
/

prompt Left of it (nothing, or the log)
column object_type format a20
column object_name format a40
select o.object_type, o.object_name
  from user_objects o
 where o.object_name like 'RTM\_%' escape '\'
    or o.object_name like 'WEBSOCKET\_%' escape '\'
 order by o.object_type, o.object_name;

column object_type clear
column object_name clear
undefine rtm_drop_log
whenever sqlerror continue
set feedback on
