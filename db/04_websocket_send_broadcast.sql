prompt WEBSOCKET_SEND_BROADCAST and RTM_MLE_POST: what PL/SQL calls of the JavaScript module
-- Both are for the owning schema: they go to any URL that the network ACL lets them. Grant WEBSOCKET_API instead, which
-- checks where a message goes.

create or replace procedure websocket_send_broadcast(
  p_api_key    in varchar2,
  p_base_url   in varchar2,
  p_channel    in varchar2,
  p_event_name in varchar2,
  p_payload    in clob
)
as mle module websocket_sender_module
signature 'sendBroadcast(string, string, string, string, string)';
/
show errors

create or replace function rtm_mle_post(
  p_url     in varchar2,
  p_api_key in varchar2,
  p_body    in clob
) return clob
as mle module websocket_sender_module
signature 'post(string, string, string)';
/
show errors
