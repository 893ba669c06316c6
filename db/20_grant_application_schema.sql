-- For the owning schema: lets the parsing schema of an APEX application call the bus, when it is another one.
--
--   @20_grant_application_schema.sql SALES
--
-- What is granted can send messages to the stored server and sign tokens. Settings, secrets, outbox and log stay closed.
-- In the application's schema, names without a schema in front need synonyms:
--
--   create synonym websocket_api for rtm.websocket_api;
--   create synonym websocket_pkg for rtm.websocket_pkg;
--   create synonym rtm_token for rtm.rtm_token;
--   create synonym rtm_error for rtm.rtm_error;
--   create synonym rtm_plugin for rtm.rtm_plugin;

set define on verify off
whenever sqlerror exit failure rollback

define rtm_application = &1

declare
  -- Raises ORA-44001 where there is no such schema.
  l_application varchar2(261) := dbms_assert.schema_name(str => upper('&rtm_application'));
begin
  execute immediate
    'grant execute on websocket_api to ' || dbms_assert.enquote_name(str => l_application, capitalize => false);
  execute immediate
    'grant execute on websocket_pkg to ' || dbms_assert.enquote_name(str => l_application, capitalize => false);
  execute immediate
    'grant execute on rtm_token to ' || dbms_assert.enquote_name(str => l_application, capitalize => false);
  execute immediate
    'grant execute on rtm_plugin to ' || dbms_assert.enquote_name(str => l_application, capitalize => false);
  execute immediate
    'grant execute on rtm_error to ' || dbms_assert.enquote_name(str => l_application, capitalize => false);
  execute immediate
    'grant select on rtm_log_last_hour to ' || dbms_assert.enquote_name(str => l_application, capitalize => false);
  execute immediate
    'grant select on rtm_outbox_status to ' || dbms_assert.enquote_name(str => l_application, capitalize => false);
end;
/

undefine 1
whenever sqlerror continue
