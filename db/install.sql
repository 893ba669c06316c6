-- Installs or upgrades everything into the schema that runs it. SQL*Plus or SQLcl:
--
--   cd db
--   sqlplus rtm/...@db @install.sql
--
-- Safe to run again: packages are replaced, tables, their rows and the stored settings are kept. A DBA has run
-- 00_grants_and_acl.sql before. Ends with a list of what is invalid, and with an error if anything is.
--
-- Order: seen from below, errors and settings first, then log, message, transport and tokens, the JavaScript where the
-- database has it, the outbox, the two packages that applications call, and the one that the plug-ins call.

set define on verify off feedback off serveroutput on
whenever sqlerror exit failure rollback
-- A script that is missing is no SQL error: without this the rest would run, and an old package stay as it was.
whenever oserror exit failure rollback

prompt
prompt apex-rtm: database part
prompt =======================

-- Says what is missing before the first object is created.
declare
  c_install_failed constant pls_integer := -20749;
  l_missing varchar2(1000);

  procedure need(p_privilege in varchar2) is
    l_found pls_integer;
  begin
    select count(*) into l_found from session_privs p where p.privilege = p_privilege;
    if l_found = 0 then
      l_missing := l_missing || ', ' || p_privilege;
    end if;
  end need;

  procedure need_execute(p_object in varchar2) is
    l_found pls_integer;
  begin
    -- A grant to a role does not count: packages do not see it.
    select count(*)
      into l_found
      from all_tab_privs p
     where p.table_name = p_object
       and p.privilege = 'EXECUTE'
       and p.grantee in (user, 'PUBLIC');
    if l_found = 0 then
      l_missing := l_missing || ', EXECUTE on ' || p_object;
    end if;
  end need_execute;
begin
  need(p_privilege => 'CREATE TABLE');
  need(p_privilege => 'CREATE VIEW');
  need(p_privilege => 'CREATE SEQUENCE');
  need(p_privilege => 'CREATE PROCEDURE');
  need(p_privilege => 'CREATE JOB');
  need_execute(p_object => 'UTL_HTTP');
  need_execute(p_object => 'DBMS_LOB');
  need_execute(p_object => 'DBMS_SCHEDULER');
  if l_missing is not null then
    raise_application_error(c_install_failed, 'missing: ' || substr(l_missing, 3) || ' (see 00_grants_and_acl.sql)');
  end if;
end;
/

-- An upgrade under a sending job would wait for it, or break its run (ORA-04068). 08_rtm_outbox.sql makes it anew.
declare
  l_jobs pls_integer;
begin
  select count(*) into l_jobs from user_scheduler_jobs j where j.job_name = 'RTM_DRAIN_JOB';
  if l_jobs > 0 then
    dbms_scheduler.drop_job(job_name => 'RTM_DRAIN_JOB', force => true);
  end if;
end;
/

-- The privilege CREATE MLE exists, and can be had, only where the database has JavaScript modules. To go without them,
-- do not grant it: everything works over UTL_HTTP.
define rtm_03 = '03_websocket_sender_module.sql'
define rtm_03 = 'nothing.sql'
define rtm_04 = '04_websocket_send_broadcast.sql'
define rtm_04 = '04_without_mle.sql'
column rtm_03 new_value rtm_03 noprint
column rtm_04 new_value rtm_04 noprint
select case when count(*) > 0 then '03_websocket_sender_module.sql' else 'nothing.sql' end as rtm_03,
       case when count(*) > 0 then '04_websocket_send_broadcast.sql' else '04_without_mle.sql' end as rtm_04
  from session_privs p
 where p.privilege = 'CREATE MLE';
column rtm_03 clear
column rtm_04 clear

@@01_rtm_log_table.sql
@@01a_rtm_error.sql
@@01b_rtm_config.sql
@@02_rtm_log_api.sql
@@02a_rtm_message.sql
@@02b_rtm_transport.sql
@@02c_rtm_token.sql
@@&rtm_03
@@&rtm_04
@@08_rtm_outbox.sql
@@05_websocket_api.sql
@@06_websocket_pkg.sql
@@07_rtm_plugin.sql

-- The transport is chosen once. Whoever sets it later is not overruled by an upgrade.
declare
  l_chosen pls_integer;
  l_mle    pls_integer;
begin
  select count(*) into l_chosen from rtm_config c where c.name = rtm_config_api.c_transport;
  select count(*)
    into l_mle
    from user_objects o
   where o.object_name = 'RTM_MLE_POST'
     and o.status = 'VALID';
  if l_chosen = 0 then
    rtm_config_api.set_value(
      p_name  => rtm_config_api.c_transport,
      p_value => case when l_mle > 0 then rtm_config_api.c_mle else rtm_config_api.c_utl_http end
    );
    commit;
  end if;
  dbms_output.put_line('transport: ' || rtm_config_api.get_value(p_name => rtm_config_api.c_transport));
  if rtm_config_api.get_value(p_name => rtm_config_api.c_base_url) is null then
    dbms_output.put_line('next: rtm_config_api.set_value for base_url, api_key and token_secret, then commit');
  end if;
end;
/

prompt
prompt Invalid objects (none is right)
column object_type format a20
column object_name format a40
select o.object_type, o.object_name
  from user_objects o
 where o.status <> 'VALID'
   and (o.object_name like 'RTM\_%' escape '\' or o.object_name like 'WEBSOCKET\_%' escape '\')
 order by o.object_type, o.object_name;
column text format a100
select e.name, e.line, e.text
  from user_errors e
 where e.attribute = 'ERROR'
   and (e.name like 'RTM\_%' escape '\' or e.name like 'WEBSOCKET\_%' escape '\')
 order by e.name, e.sequence;

declare
  c_install_failed constant pls_integer := -20749;
  l_invalid pls_integer;
begin
  select count(*)
    into l_invalid
    from user_objects o
   where o.status <> 'VALID'
     and (o.object_name like 'RTM\_%' escape '\' or o.object_name like 'WEBSOCKET\_%' escape '\');
  if l_invalid > 0 then
    raise_application_error(c_install_failed, to_char(l_invalid) || ' objects are invalid, see the list above');
  end if;
  dbms_output.put_line('installed');
end;
/

column object_type clear
column object_name clear
column text clear
whenever sqlerror continue
whenever oserror continue
set feedback on
