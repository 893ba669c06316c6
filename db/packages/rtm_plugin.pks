create or replace package rtm_plugin
  authid definer
as
  /**
   * What the APEX plug-ins of apex-plugins/ call. They name these functions and hold no PL/SQL of their own, so that a
   * new release of this package needs no new import. Needs APEX 23.1 or later.
   *
   * Channel, event name and server of a message are attributes, read here on the server on every call; a browser can
   * only send the value of the payload item. No function commits or rolls back, and no secret gets into a page: what a
   * page is given is a token, for the user of its APEX session.
   *
   * To let an application of another schema use the plug-ins, grant execute on this package and make a synonym there.
   * Whoever can execute it can sign a token for any channel.
   */

  /**
   * Listener: the call that makes the page listen, with the settings and a token for the channel. A fault, such as a
   * missing setting, does not break the page: it is written to RTM_LOG, and the page goes on without listening. Without
   * a stored token_secret there is no token, which only a server in open mode accepts.
   */
  function render_listener(
    p_dynamic_action in apex_plugin.t_dynamic_action,
    p_plugin         in apex_plugin.t_plugin
  ) return apex_plugin.t_dynamic_action_render_result;

  /** Listener: answers {"token"} with a new token for the channel that the attributes name now. */
  function ajax_listener(
    p_dynamic_action in apex_plugin.t_dynamic_action,
    p_plugin         in apex_plugin.t_plugin
  ) return apex_plugin.t_dynamic_action_ajax_result;

  /** Broadcast, dynamic action: the call that sends the payload item's value to ajax_broadcast. */
  function render_broadcast(
    p_dynamic_action in apex_plugin.t_dynamic_action,
    p_plugin         in apex_plugin.t_plugin
  ) return apex_plugin.t_dynamic_action_render_result;

  /**
   * Broadcast, dynamic action: sends {"itemName", "value"} with the value that the browser posts. Answers {"sent"} or,
   * on failure, {"error"} with the text that the attribute Error Message sets; the reason is in RTM_LOG.
   */
  function ajax_broadcast(
    p_dynamic_action in apex_plugin.t_dynamic_action,
    p_plugin         in apex_plugin.t_plugin
  ) return apex_plugin.t_dynamic_action_ajax_result;

  /**
   * Broadcast, process: sends {"itemName", "value"} with the value that the item has in session state.
   * @exception those of websocket_api.broadcast_item, where On Error is Raise; then APEX rolls the page back
   */
  function execute_broadcast(
    p_process in apex_plugin.t_process,
    p_plugin  in apex_plugin.t_plugin
  ) return apex_plugin.t_process_exec_result;
end rtm_plugin;
/
