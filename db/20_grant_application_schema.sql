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

set define on verify off
whenever sqlerror exit failure rollback

define rtm_application = &1

grant execute on websocket_api to &rtm_application;
grant execute on websocket_pkg to &rtm_application;
grant execute on rtm_token to &rtm_application;
grant execute on rtm_error to &rtm_application;
grant select on rtm_log_last_hour to &rtm_application;
grant select on rtm_outbox_status to &rtm_application;

undefine 1
whenever sqlerror continue
