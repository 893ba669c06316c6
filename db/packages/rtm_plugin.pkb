create or replace package body rtm_plugin
as
  -- Names under which the log shows them: those of the plug-ins.
  c_listener_source  constant varchar2(30) := 'RTM_LISTENER_DA';
  c_action_source    constant varchar2(30) := 'RTM_BROADCAST_DA';
  c_process_source   constant varchar2(30) := 'RTM_BROADCAST_PROCESS';

  -- Values of the attribute Action; the page is told the others in lower case.
  c_event_only       constant varchar2(10) := 'EVENT';
  c_set_item         constant varchar2(10) := 'ITEM';
  c_several          constant varchar2(10) := 'SEVERAL';
  -- Values of the attribute On Error.
  c_show             constant varchar2(10) := 'SHOW';
  c_log              constant varchar2(10) := 'LOG';
  c_ignore           constant varchar2(10) := 'IGNORE';
  c_raise            constant varchar2(10) := 'RAISE';

  c_line_ends        constant varchar2(2) := chr(10) || chr(13);
  c_not_sent         constant varchar2(100) := 'The message could not be sent.';
  c_not_renewed      constant varchar2(100) := 'The right to listen could not be renewed.';
  c_broken_listener  constant varchar2(200) :=
    'function(){apex.debug.error("rtm: this page does not listen, the reason is in RTM_LOG");}';

  type t_words is table of varchar2(4000) index by pls_integer;

  -- The attributes by name. A component that was made before an attribute existed has it null.
  type t_broadcast is record (
    api_key    varchar2(32767),
    base_url   varchar2(32767),
    channel    varchar2(32767),
    event_name varchar2(32767),
    item_name  varchar2(32767),
    on_error   varchar2(32767),
    delivery   varchar2(32767),
    error_text varchar2(32767),
    page_items varchar2(32767)
  );

  function actions_of(p_action in varchar2, p_several in varchar2) return varchar2 is
  begin
    return lower(case nvl(p_action, c_set_item)
      when c_event_only then null
      when c_several then p_several
      else nvl(p_action, c_set_item)
    end);
  end actions_of;

  function broadcast_of(p_action in apex_plugin.t_dynamic_action) return t_broadcast is
    l_broadcast t_broadcast;
  begin
    l_broadcast.api_key := p_action.attribute_01;
    l_broadcast.base_url := p_action.attribute_02;
    l_broadcast.channel := p_action.attribute_03;
    l_broadcast.event_name := p_action.attribute_04;
    l_broadcast.item_name := p_action.attribute_05;
    l_broadcast.on_error := nvl(p_action.attribute_06, c_show);
    -- NOW unless said otherwise: the callback has no other work that could fail, and the user waits for the answer.
    l_broadcast.delivery := nvl(p_action.attribute_07, websocket_api.c_now);
    l_broadcast.error_text := nvl(p_action.attribute_08, c_not_sent);
    l_broadcast.page_items := p_action.attribute_09;
    return l_broadcast;
  end broadcast_of;

  function broadcast_of(p_process in apex_plugin.t_process) return t_broadcast is
    l_broadcast t_broadcast;
  begin
    l_broadcast.api_key := p_process.attribute_01;
    l_broadcast.base_url := p_process.attribute_02;
    l_broadcast.channel := p_process.attribute_03;
    l_broadcast.event_name := p_process.attribute_04;
    l_broadcast.item_name := p_process.attribute_05;
    l_broadcast.on_error := nvl(p_process.attribute_06, c_raise);
    -- Null leaves it to WEBSOCKET_API, which knows the stored default.
    l_broadcast.delivery := p_process.attribute_07;
    return l_broadcast;
  end broadcast_of;

  /** The words between delimiters, without the blanks around them. */
  function words_of(p_text in varchar2, p_delimiters in varchar2) return t_words is
    l_words t_words;
    l_word  varchar2(32767);
    l_count pls_integer := regexp_count(p_text, '[^' || p_delimiters || ']+');
  begin
    for i in 1 .. nvl(l_count, 0) loop
      l_word := trim(regexp_substr(p_text, '[^' || p_delimiters || ']+', 1, i));
      if l_word is not null then
        l_words(l_words.count + 1) := l_word;
      end if;
    end loop;
    return l_words;
  end words_of;

  procedure put_text(pio_config in out nocopy json_object_t, p_key in varchar2, p_value in varchar2) is
  begin
    if p_value is not null then
      pio_config.put(key => p_key, val => p_value);
    end if;
  end put_text;

  procedure put_number(pio_config in out nocopy json_object_t, p_key in varchar2, p_value in varchar2) is
  begin
    if p_value is not null then
      pio_config.put(key => p_key, val => to_number(p_value));
    end if;
  end put_number;

  procedure put_words(
    pio_config   in out nocopy json_object_t,
    p_key        in varchar2,
    p_text       in varchar2,
    p_delimiters in varchar2
  ) is
    l_words t_words := words_of(p_text => p_text, p_delimiters => p_delimiters);
    l_array json_array_t := json_array_t();
  begin
    for i in 1 .. l_words.count loop
      l_array.append(val => l_words(i));
    end loop;
    pio_config.put(key => p_key, val => l_array);
  end put_words;

  /** A function literal for the page: it calls p_function with the dynamic action and its settings. */
  function call_of(p_function in varchar2, p_config in json_object_t) return varchar2 is
  begin
    -- The text lands inside a script element. A channel name with "</script>" or "<!--" would end the script, or keep
    -- its real end from being seen; JSON needs no bare < anywhere.
    return 'function(){return ' || p_function || '(this,' || replace(p_config.to_string(), '<', '\u003c') || ');}';
  end call_of;

  /** Where the page finds the server: the action's own, that of the application's component settings, or the stored. */
  function url_of(p_action in apex_plugin.t_dynamic_action, p_plugin in apex_plugin.t_plugin) return varchar2 is
    l_url varchar2(32767) := coalesce(
      p_action.attribute_01,
      p_plugin.attribute_01,
      rtm_config_api.get_value(p_name => rtm_config_api.c_base_url)
    );
  begin
    if l_url is null then
      rtm_error.fail(p_code => rtm_error.c_not_configured, p_1 => rtm_config_api.c_base_url);
    end if;
    return l_url;
  end url_of;

  /** A token for the user of this APEX session: the channel of the action, and those that every page may hear. */
  function token_of(p_action in apex_plugin.t_dynamic_action, p_plugin in apex_plugin.t_plugin) return varchar2 is
    l_common   t_words := words_of(p_text => p_plugin.attribute_02, p_delimiters => c_line_ends);
    l_channels rtm_token.t_channels;
  begin
    for i in 1 .. l_common.count loop
      l_channels(i) := l_common(i);
    end loop;
    if p_action.attribute_02 is not null then
      l_channels(l_channels.count + 1) := p_action.attribute_02;
    end if;
    return rtm_token.issue(
      p_user_name  => sys_context('APEX$SESSION', 'APP_USER'),
      p_session_id => sys_context('APEX$SESSION', 'APP_SESSION'),
      p_channels   => l_channels
    );
  end token_of;

  function token_or_none(p_action in apex_plugin.t_dynamic_action, p_plugin in apex_plugin.t_plugin) return varchar2 is
  begin
    return token_of(p_action => p_action, p_plugin => p_plugin);
  exception
    when rtm_error.e_secret_missing then
      apex_debug.warn(p_message => 'rtm: without the setting token_secret only a server in open mode is of use');
      return null;
  end token_or_none;

  /** What rtm.listener is given. The keys are described in apex-plugins/src/listener/plugin.toml. */
  function listener_config(
    p_action in apex_plugin.t_dynamic_action,
    p_plugin in apex_plugin.t_plugin
  ) return json_object_t is
    l_config  json_object_t := json_object_t();
    l_token   varchar2(32767);
    l_actions varchar2(32767) := actions_of(p_action => p_action.attribute_05, p_several => p_action.attribute_06);
  begin
    l_config.put(key => 'url', val => url_of(p_action => p_action, p_plugin => p_plugin));
    l_token := token_or_none(p_action => p_action, p_plugin => p_plugin);
    put_text(pio_config => l_config, p_key => 'token', p_value => l_token);
    put_text(pio_config => l_config, p_key => 'channel', p_value => p_action.attribute_02);
    put_text(pio_config => l_config, p_key => 'eventName', p_value => p_action.attribute_03);
    put_text(pio_config => l_config, p_key => 'apexEvent', p_value => p_action.attribute_04);
    put_words(pio_config => l_config, p_key => 'actions', p_text => l_actions, p_delimiters => ':');
    put_text(pio_config => l_config, p_key => 'itemName', p_value => p_action.attribute_07);
    put_words(pio_config => l_config, p_key => 'regions', p_text => p_action.attribute_08, p_delimiters => ',');
    put_text(pio_config => l_config, p_key => 'template', p_value => p_action.attribute_09);
    put_number(pio_config => l_config, p_key => 'refreshIntervalMs', p_value => p_action.attribute_10);
    put_number(pio_config => l_config, p_key => 'refreshSpreadMs', p_value => p_action.attribute_11);
    l_config.put(key => 'waitWhileHidden', val => nvl(p_action.attribute_12, 'Y') = 'Y');
    if p_action.attribute_13 = 'Y' then
      l_config.put(key => 'presence', val => true);
    end if;
    return l_config;
  end listener_config;

  procedure log_failure(
    p_source     in varchar2,
    p_channel    in varchar2,
    p_event_name in varchar2,
    p_error      in varchar2
  ) is
  begin
    apex_debug.error(p_message => '%s: %s', p0 => p_source, p1 => p_error);
    rtm_log_api.log_event(
      p_source     => p_source,
      p_channel    => p_channel,
      p_event_name => p_event_name,
      p_extra_info => dbms_utility.format_error_backtrace(),
      p_error      => p_error
    );
  end log_failure;

  procedure log_failed_listener(p_action in apex_plugin.t_dynamic_action, p_error in varchar2) is
  begin
    log_failure(
      p_source     => c_listener_source,
      p_channel    => p_action.attribute_02,
      p_event_name => p_action.attribute_03,
      p_error      => p_error
    );
  end log_failed_listener;

  /** What failed on the way to the server has its row already, from WEBSOCKET_API; what never got so far has none. */
  procedure log_failed_broadcast(
    p_broadcast in t_broadcast,
    p_source    in varchar2,
    p_code      in pls_integer,
    p_error     in varchar2
  ) is
  begin
    if p_broadcast.on_error = c_ignore
       or p_code between rtm_error.c_answer_unreadable and rtm_error.c_not_configured then
      apex_debug.info(p_message => '%s: %s', p0 => p_source, p1 => p_error);
      return;
    end if;
    log_failure(
      p_source     => p_source,
      p_channel    => p_broadcast.channel,
      p_event_name => p_broadcast.event_name,
      p_error      => p_error
    );
  end log_failed_broadcast;

  /** One member is the whole answer; "error" makes apex.server.plugin call its error function with the text. */
  procedure answer(p_name in varchar2, p_value in varchar2) is
  begin
    apex_json.open_object();
    apex_json.write(p_name => p_name, p_value => p_value);
    apex_json.close_object();
  end answer;

  procedure send(p_broadcast in t_broadcast, p_value in clob, p_source in varchar2) is
    l_payload clob;
  begin
    if p_broadcast.item_name is not null then
      -- returning clob: without it a value of 4000 bytes is an error.
      select json_object('itemName' value p_broadcast.item_name, 'value' value p_value returning clob)
        into l_payload
        from dual;
    end if;
    websocket_api.broadcast_item(
      p_api_key    => p_broadcast.api_key,
      p_base_url   => p_broadcast.base_url,
      p_channel    => p_broadcast.channel,
      p_event_name => p_broadcast.event_name,
      p_payload    => l_payload,
      p_delivery   => p_broadcast.delivery,
      p_source     => p_source
    );
  end send;

  /** The value of the payload item in the browser: X01 is a VARCHAR2, so a long one comes as CLOB. */
  function posted_value return clob is
  begin
    if dbms_lob.getlength(lob_loc => apex_application.g_clob_01) > 0 then
      return apex_application.g_clob_01;
    end if;
    return to_clob(apex_application.g_x01);
  end posted_value;

  function item_value(p_item_name in varchar2) return clob is
    l_value apex_session_state.t_value;
  begin
    if p_item_name is null then
      return null;
    end if;
    l_value := apex_session_state.get_value(p_item => p_item_name);
    return coalesce(l_value.clob_value, to_clob(l_value.varchar2_value));
  end item_value;

  function render_listener(
    p_dynamic_action in apex_plugin.t_dynamic_action,
    p_plugin         in apex_plugin.t_plugin
  ) return apex_plugin.t_dynamic_action_render_result is
    l_result apex_plugin.t_dynamic_action_render_result;
  begin
    l_result.ajax_identifier := apex_plugin.get_ajax_identifier();
    l_result.javascript_function := call_of(
      p_function => 'rtm.listener',
      p_config   => listener_config(p_action => p_dynamic_action, p_plugin => p_plugin)
    );
    return l_result;
  exception
    -- A page that works without news must not fail for the lack of them.
    when others then
      log_failed_listener(p_action => p_dynamic_action, p_error => sqlerrm);
      l_result.javascript_function := c_broken_listener;
      return l_result;
  end render_listener;

  function ajax_listener(
    p_dynamic_action in apex_plugin.t_dynamic_action,
    p_plugin         in apex_plugin.t_plugin
  ) return apex_plugin.t_dynamic_action_ajax_result is
    l_result apex_plugin.t_dynamic_action_ajax_result;
    l_token  varchar2(32767);
  begin
    l_token := token_of(p_action => p_dynamic_action, p_plugin => p_plugin);
    answer(p_name => 'token', p_value => l_token);
    return l_result;
  exception
    when others then
      log_failed_listener(p_action => p_dynamic_action, p_error => sqlerrm);
      answer(p_name => 'error', p_value => c_not_renewed);
      return l_result;
  end ajax_listener;

  function render_broadcast(
    p_dynamic_action in apex_plugin.t_dynamic_action,
    p_plugin         in apex_plugin.t_plugin
  ) return apex_plugin.t_dynamic_action_render_result is
    l_broadcast t_broadcast := broadcast_of(p_action => p_dynamic_action);
    l_config    json_object_t := json_object_t();
    l_result    apex_plugin.t_dynamic_action_render_result;
  begin
    -- Only what the browser needs: channel, event name, server and key stay here.
    put_text(pio_config => l_config, p_key => 'itemName', p_value => l_broadcast.item_name);
    put_text(pio_config => l_config, p_key => 'onError', p_value => lower(l_broadcast.on_error));
    put_text(pio_config => l_config, p_key => 'errorText', p_value => l_broadcast.error_text);
    put_words(pio_config => l_config, p_key => 'pageItems', p_text => l_broadcast.page_items, p_delimiters => ',');
    l_result.ajax_identifier := apex_plugin.get_ajax_identifier();
    l_result.javascript_function := call_of(p_function => 'rtm.broadcast', p_config => l_config);
    return l_result;
  end render_broadcast;

  function ajax_broadcast(
    p_dynamic_action in apex_plugin.t_dynamic_action,
    p_plugin         in apex_plugin.t_plugin
  ) return apex_plugin.t_dynamic_action_ajax_result is
    l_broadcast t_broadcast := broadcast_of(p_action => p_dynamic_action);
    l_result    apex_plugin.t_dynamic_action_ajax_result;
  begin
    send(p_broadcast => l_broadcast, p_value => posted_value(), p_source => c_action_source);
    answer(p_name => 'sent', p_value => l_broadcast.delivery);
    return l_result;
  exception
    when others then
      log_failed_broadcast(
        p_broadcast => l_broadcast, p_source => c_action_source, p_code => sqlcode, p_error => sqlerrm
      );
      answer(p_name => 'error', p_value => l_broadcast.error_text);
      return l_result;
  end ajax_broadcast;

  function execute_broadcast(
    p_process in apex_plugin.t_process,
    p_plugin  in apex_plugin.t_plugin
  ) return apex_plugin.t_process_exec_result is
    l_broadcast t_broadcast := broadcast_of(p_process => p_process);
    l_value     clob;
    l_result    apex_plugin.t_process_exec_result;
  begin
    l_value := item_value(p_item_name => l_broadcast.item_name);
    send(p_broadcast => l_broadcast, p_value => l_value, p_source => c_process_source);
    l_result.success_message := p_process.success_message;
    return l_result;
  exception
    when others then
      log_failed_broadcast(
        p_broadcast => l_broadcast, p_source => c_process_source, p_code => sqlcode, p_error => sqlerrm
      );
      if l_broadcast.on_error not in (c_log, c_ignore) then
        raise;
      end if;
      l_result.execution_skipped := true; -- no success message for what did not happen
      return l_result;
  end execute_broadcast;
end rtm_plugin;
/
