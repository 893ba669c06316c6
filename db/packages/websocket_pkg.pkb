create or replace package body websocket_pkg
as
  c_source constant varchar2(30) := 'WEBSOCKET_PKG';

  procedure register(
    p_room       in t_room,
    p_user_name  in varchar2,
    p_session_id in varchar2,
    p_token      out t_token
  ) is
  begin
    if p_room is null then
      rtm_error.fail(p_code => rtm_error.c_channel_required);
    end if;
    p_token := rtm_token.issue(p_user_name => p_user_name, p_session_id => p_session_id, p_channel => p_room);
  end register;

  procedure unregister(
    p_room       in t_room,
    p_user_name  in varchar2,
    p_session_id in varchar2
  ) is
    l_body   clob;
    l_answer rtm_transport.t_answer;
  begin
    if p_room is null then
      rtm_error.fail(p_code => rtm_error.c_channel_required);
    elsif p_user_name is null then
      rtm_error.fail(p_code => rtm_error.c_user_required);
    end if;
    l_body := rtm_message.revocation_body(
      p_user_name  => p_user_name,
      p_session_id => p_session_id,
      p_channel    => p_room
    );
    l_answer := rtm_transport.post(p_path => rtm_message.c_path_revoke, p_body => l_body);
    rtm_transport.require_ok(p_answer => l_answer);
    rtm_log_api.log_event(
      p_source      => c_source,
      p_channel     => p_room,
      p_event_name  => null,
      p_http_status => l_answer.status,
      p_extra_info  => 'unregister ' || p_user_name,
      p_status      => rtm_log_api.c_info,
      p_duration_ms => l_answer.duration_ms
    );
  exception
    when others then
      rtm_log_api.log_event(
        p_source      => c_source,
        p_channel     => p_room,
        p_event_name  => null,
        p_http_status => l_answer.status,
        p_extra_info  => 'unregister ' || p_user_name || chr(10) || dbms_utility.format_error_backtrace(),
        p_error       => sqlerrm
      );
      raise;
  end unregister;

  procedure emit_to_user(
    p_user_name in varchar2,
    p_event     in t_event,
    p_data      in clob default null,
    p_delivery  in varchar2 default null
  ) is
  begin
    if p_user_name is null then
      rtm_error.fail(p_code => rtm_error.c_user_required);
    end if;
    websocket_api.broadcast_item(
      p_channel    => c_user_prefix || p_user_name,
      p_event_name => p_event,
      p_payload    => p_data,
      p_delivery   => p_delivery,
      p_source     => c_source
    );
  end emit_to_user;

  procedure emit_to_room(
    p_room     in varchar2,
    p_event    in t_event,
    p_data     in clob default null,
    p_delivery in varchar2 default null
  ) is
  begin
    websocket_api.broadcast_item(
      p_channel    => p_room,
      p_event_name => p_event,
      p_payload    => p_data,
      p_delivery   => p_delivery,
      p_source     => c_source
    );
  end emit_to_room;
end websocket_pkg;
/
