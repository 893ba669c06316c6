-- For a DBA: what the owning schema needs, once. Run as a user who may grant it (SYS, SYSTEM with DBA; ADMIN on Autonomous),
-- connected to the pluggable database and not to the root:
--
--   @00_grants_and_acl.sql RTM rtm.example.com 443
--
-- Schema, host of the server, port. Safe to run again. Where the database shall call nobody, because a relay fetches the
-- messages (docs/oracle.md), the network ACL is not needed: pass NONE 0 as host and port.
--
-- The schema itself is not created here:
--   create user rtm identified by "..." default tablespace users quota 1g on users;
--
-- (Autonomous has no tablespace USERS: data instead.)

set define on verify off serveroutput on
whenever sqlerror exit failure rollback

define rtm_schema = &1
define rtm_host = &2
define rtm_port = &3

prompt Privileges for &rtm_schema
declare
  -- Raises ORA-44001 where there is no such schema, before anything is granted.
  l_schema varchar2(261) := dbms_assert.schema_name(str => upper('&rtm_schema'));
begin
  -- CREATE SEQUENCE is for the identity columns. Roles do not help: packages see direct grants only.
  execute immediate
    'grant create session, create table, create view, create sequence, create procedure, create job to '
    || dbms_assert.enquote_name(str => l_schema, capitalize => false);
  -- What follows is not known to every release, or may be granted by SYS only; the message says what that means.
  begin
    execute immediate
      'grant execute on sys.utl_http to ' || dbms_assert.enquote_name(str => l_schema, capitalize => false);
  exception
    when others then
      dbms_output.put_line('not granted: execute on sys.utl_http (without it there is no transport, unless PUBLIC has it): ' || sqlerrm);
  end;
  -- These two are PUBLIC's by default, and taken from PUBLIC where a hardening guide (CIS, STIG) was followed.
  begin
    execute immediate
      'grant execute on sys.dbms_lob to ' || dbms_assert.enquote_name(str => l_schema, capitalize => false);
  exception
    when others then
      dbms_output.put_line('not granted: execute on sys.dbms_lob (needed, unless PUBLIC has it): ' || sqlerrm);
  end;
  begin
    execute immediate
      'grant execute on sys.dbms_scheduler to ' || dbms_assert.enquote_name(str => l_schema, capitalize => false);
  exception
    when others then
      dbms_output.put_line('not granted: execute on sys.dbms_scheduler (needed, unless PUBLIC has it): ' || sqlerrm);
  end;
  begin
    execute immediate
      'grant create mle to ' || dbms_assert.enquote_name(str => l_schema, capitalize => false);
  exception
    when others then
      dbms_output.put_line('not granted: create mle (JavaScript needs 23ai or later, UTL_HTTP does not): ' || sqlerrm);
  end;
  begin
    execute immediate
      'grant execute on javascript to ' || dbms_assert.enquote_name(str => l_schema, capitalize => false);
  exception
    when others then
      dbms_output.put_line('not granted: execute on javascript (wanted by early releases of 23ai only): ' || sqlerrm);
  end;
end;
/

prompt Network ACL for &rtm_schema to &rtm_host, port &rtm_port
begin
  if upper('&rtm_host') <> 'NONE' then
    -- The principal is the schema that owns the packages. It is not the APEX engine's schema: nothing goes through
    -- APEX_WEB_SERVICE. Privilege http is what UTL_HTTP and the JavaScript fetch look for.
    dbms_network_acl_admin.append_host_ace(
      host       => '&rtm_host',
      lower_port => to_number('&rtm_port'),
      upper_port => to_number('&rtm_port'),
      ace        => xs$ace_type(
        privilege_list => xs$name_list('http'),
        principal_name => upper('&rtm_schema'),
        principal_type => xs_acl.ptype_db
      )
    );
  end if;
exception
  when dbms_network_acl_admin.ace_already_exists then
    dbms_output.put_line('no entry was added, see the view DBA_HOST_ACES: ' || sqlerrm);
end;
/
commit;

-- Certificates, for a base URL that begins with https:
--
--   Autonomous Serverless   nothing to do where the certificate is signed by a public authority.
--   23ai and later,         rtm_config_api.set_value('wallet_path', 'system:') takes the authorities that the operating
--   recent updates of 19c   system of the database server trusts.
--   otherwise               a wallet on the database server, with the root certificate that signed the server's:
--                             orapki wallet create -wallet /opt/oracle/wallets/rtm -auto_login
--                             orapki wallet add -wallet /opt/oracle/wallets/rtm -trusted_cert -cert root.pem
--                           and rtm_config_api.set_value('wallet_path', 'file:/opt/oracle/wallets/rtm')

undefine 1 2 3
whenever sqlerror continue
