create or replace package websocket_pkg
  authid definer
as
  /**
   * Rooms and users: the short way to WEBSOCKET_API and RTM_TOKEN. A room is a channel of the same name; a user is the
   * channel user:<name>, which every page of that user may listen to and nobody else by a wildcard. Names are compared
   * with their case.
   */
  subtype t_room is varchar2(4000 char);
  subtype t_token is varchar2(4000);
  subtype t_event is varchar2(130 char); -- as long as the custom event name of a dynamic action

  c_prefix    constant varchar2(20) := 'websocket:';
  c_separator constant varchar2(1)  := ':';

  -- Predefined event names: websocket:message and websocket:refresh. The prefix ends in the separator already.
  c_message   constant t_event := c_prefix || 'message';
  c_refresh   constant t_event := c_prefix || 'refresh';

  -- What stands before a user's name in the name of the user's channel.
  c_user_prefix constant varchar2(5) := 'user:';

  /**
   * Lets a user's session join a room: signs a token for the browser. No HTTP call is made, and nothing is stored.
   * @param p_room room, or a prefix of rooms ending in *
   * @param p_user_name user
   * @param p_session_id session; unregister can take the right away from this session alone
   * @param p_token JSON Web Token, for as long as the setting token_lifetime_s says
   * @exception rtm_error.e_channel_required, and those of rtm_token.issue
   */
  procedure register(
    p_room       in t_room,
    p_user_name  in varchar2,
    p_session_id in varchar2,
    p_token      out t_token
  );

  /**
   * Takes the right back at once: pages that are in the room leave it, and tokens from before are refused. This calls
   * the server and waits for its answer; a rollback does not undo it.
   * @param p_room room; required, so that a forgotten value does not take away every room
   * @param p_user_name user; required, so that a forgotten value does not empty the room
   * @param p_session_id session; null takes the right from all sessions of the user
   * @exception rtm_error.e_channel_required, rtm_error.e_user_required
   * @exception those of rtm_transport.post and rtm_transport.require_ok
   */
  procedure unregister(
    p_room       in t_room,
    p_user_name  in varchar2,
    p_session_id in varchar2
  );

  /**
   * Sends an event to every page of one user.
   * @param p_data JSON; null is the JSON null
   * @param p_delivery ON_COMMIT, NOW or null, as in WEBSOCKET_API
   * @exception rtm_error.e_user_required, rtm_error.e_invalid_json, and those of websocket_api.broadcast_item
   */
  procedure emit_to_user(
    p_user_name in varchar2,
    p_event     in t_event,
    p_data      in clob default null,
    p_delivery  in varchar2 default null
  );

  /**
   * Sends an event to every page in a room.
   * @param p_data JSON; null is the JSON null
   * @param p_delivery ON_COMMIT, NOW or null, as in WEBSOCKET_API
   * @exception rtm_error.e_channel_required, rtm_error.e_invalid_json, and those of websocket_api.broadcast_item
   */
  procedure emit_to_room(
    p_room     in varchar2,
    p_event    in t_event,
    p_data     in clob default null,
    p_delivery in varchar2 default null
  );
end websocket_pkg;
/
