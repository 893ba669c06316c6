prompt WEBSOCKET_SEND_BROADCAST over UTL_HTTP: for databases without MLE (19c, 21c)
-- The same name and the same parameters as with MLE. Unlike there, p_api_key and p_base_url may be null, which takes the
-- stored ones, and another base URL must be one of allowed_base_urls.

create or replace procedure websocket_send_broadcast(
  p_api_key    in varchar2,
  p_base_url   in varchar2,
  p_channel    in varchar2,
  p_event_name in varchar2,
  p_payload    in clob
)
  authid definer
is
  l_publication rtm_message.t_publication;
  l_body        clob;
  l_answer      rtm_transport.t_answer;
begin
  l_publication.channel := p_channel;
  l_publication.event_name := p_event_name;
  l_publication.payload := p_payload;
  rtm_message.check_publication(p_publication => l_publication);
  l_body := rtm_message.publication_body(p_publication => l_publication);
  l_answer := rtm_transport.post(
    p_path     => rtm_message.c_path_broadcast,
    p_body     => l_body,
    p_base_url => p_base_url,
    p_api_key  => p_api_key
  );
  rtm_message.free(pio_lob => l_body);
  rtm_transport.require_ok(p_answer => l_answer);
end websocket_send_broadcast;
/
show errors
