-- For a DBA: what the owning schema needs, once. Run as a user who may grant it (SYS, SYSTEM with DBA; ADMIN on Autonomous):
--
--   @00_grants_and_acl.sql RTM rtm.example.com 443
--
-- Schema, host of the server, port. Safe to run again. Where the database shall call nobody, because a relay fetches the
-- messages (docs/oracle.md), the network ACL is not needed: pass the host as -.
--
-- The schema itself is not created here:
--   create user rtm identified by "..." default tablespace users quota 1g on users;

set define on verify off serveroutput on
whenever sqlerror exit failure rollback

define rtm_schema = &1
define rtm_host = &2
define rtm_port = &3

prompt Privileges for &rtm_schema
declare
  l_schema varchar2(261) := dbms_assert.schema_name(str => upper('&rtm_schema'));
  l_grant  varchar2(1000);

  /** For privileges that only some releases know, or that PUBLIC has where nobody took them away. */
  procedure try_grant(p_grant in varchar2, p_why in varchar2) is
  begin
    l_grant := 'grant ' || p_grant || ' to ' || dbms_assert.enquote_name(str => l_schema, capitalize => false);
    execute immediate l_grant;
    dbms_output.put_line('granted: ' || p_grant);
  exception
    when others then
      dbms_output.put_line('not granted: ' || p_grant || ' (' || p_why || '): ' || sqlerrm);
  end try_grant;
begin
  -- CREATE SEQUENCE is for the identity columns. Roles do not help: packages see direct grants only.
  l_grant := 'grant create session, create table, create view, create sequence, create procedure, create job to '
    || dbms_assert.enquote_name(str => l_schema, capitalize => false);
  execute immediate l_grant;
  try_grant(p_grant => 'execute on sys.utl_http', p_why => 'without it there is no transport');
  try_grant(p_grant => 'create mle', p_why => 'JavaScript needs 23ai or later; UTL_HTTP does not');
  try_grant(p_grant => 'execute on javascript', p_why => 'wanted by early releases of 23ai only');
end;
/

prompt Network ACL for &rtm_schema to &rtm_host, port &rtm_port
begin
  if '&rtm_host' <> '-' then
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
    dbms_output.put_line('the schema may call this host and port already');
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
