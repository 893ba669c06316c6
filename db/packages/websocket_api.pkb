create or replace package body websocket_api
as
  type t_indexes is table of pls_integer index by pls_integer;

  /** Who sends, as the APEX session knows it; null in jobs and outside of APEX. */
  function context_meta return varchar2 is
    l_user varchar2(255 char) := sys_context('APEX$SESSION', 'APP_USER');
    l_meta json_object_t := json_object_t();
  begin
    if l_user is null then
      return null;
    end if;
    l_meta.put(key => 'user', val => l_user);
    l_meta.put(key => 'appId', val => to_number(v('APP_ID')));
    l_meta.put(key => 'pageId', val => to_number(v('APP_PAGE_ID')));
    return l_meta.to_string();
  end context_meta;

  function delivery_of(
    p_delivery in varchar2,
    p_api_key  in varchar2,
    p_base_url in varchar2
  ) return varchar2 is
  begin
    if p_delivery = c_now then
      return c_now;
    elsif p_delivery = c_on_commit then
      if not rtm_transport.is_stored_target(p_base_url => p_base_url, p_api_key => p_api_key) then
        rtm_error.fail(p_code => rtm_error.c_override_needs_now);
      end if;
      return c_on_commit;
    elsif p_delivery is not null then
      rtm_error.fail(p_code => rtm_error.c_invalid_delivery, p_1 => substr(p_delivery, 1, 30));
    elsif p_api_key is not null or p_base_url is not null then
      return c_now;
    end if;
    return rtm_config_api.get_value(p_name => rtm_config_api.c_delivery);
  end delivery_of;

  procedure log_failure(
    p_publication in rtm_message.t_publication,
    p_source      in varchar2,
    p_status      in pls_integer,
    p_error       in varchar2
  ) is
  begin
    rtm_log_api.log_event(
      p_source       => p_source,
      p_channel      => p_publication.channel,
      p_event_name   => p_publication.event_name,
      p_payload_json => p_publication.payload,
      p_http_status  => p_status,
      p_extra_info   => dbms_utility.format_error_backtrace(),
      p_error        => p_error,
      p_message_id   => p_publication.id
    );
  end log_failure;

  procedure send_now(
    p_publication in rtm_message.t_publication,
    p_api_key     in varchar2,
    p_base_url    in varchar2,
    p_source      in varchar2
  ) is
    l_body   clob;
    l_answer rtm_transport.t_answer;
  begin
    l_body := rtm_message.publication_body(p_publication => p_publication);
    l_answer := rtm_transport.post(
      p_path     => rtm_message.c_path_broadcast,
      p_body     => l_body,
      p_base_url => p_base_url,
      p_api_key  => p_api_key
    );
    rtm_transport.require_ok(p_answer => l_answer);
    rtm_message.free(pio_lob => l_body);
    rtm_log_api.log_event(
      p_source       => p_source,
      p_channel      => p_publication.channel,
      p_event_name   => p_publication.event_name,
      p_payload_json => p_publication.payload,
      p_http_status  => l_answer.status,
      p_extra_info   => dbms_lob.substr(lob_loc => l_answer.body, amount => 1000, offset => 1),
      p_duration_ms  => l_answer.duration_ms,
      p_message_id   => p_publication.id
    );
  exception
    when others then
      log_failure(
        p_publication => p_publication,
        p_source      => p_source,
        p_status      => l_answer.status,
        p_error       => sqlerrm
      );
      rtm_message.free(pio_lob => l_body);
      raise;
  end send_now;

  function publication_of(p_message in t_message, p_meta in varchar2) return rtm_message.t_publication is
    l_publication rtm_message.t_publication;
  begin
    l_publication.channel := p_message.channel;
    l_publication.event_name := p_message.event_name;
    if dbms_lob.getlength(lob_loc => p_message.payload) > 0 then
      -- An empty CLOB is no JSON; like null it stands for the JSON null.
      l_publication.payload := p_message.payload;
    end if;
    l_publication.meta := p_meta;
    l_publication.id := nvl(p_message.id, rtm_message.new_id());
    rtm_message.check_publication(p_publication => l_publication);
    return l_publication;
  end publication_of;

  procedure broadcast_item(
    p_api_key    in varchar2 default null,
    p_base_url   in varchar2 default null,
    p_channel    in varchar2,
    p_event_name in varchar2 default null,
    p_payload    in clob default null,
    p_delivery   in varchar2 default null,
    p_id         in varchar2 default null,
    p_source     in varchar2 default 'WEBSOCKET_API'
  ) is
    l_message     t_message;
    l_publication rtm_message.t_publication;
  begin
    l_message.channel := p_channel;
    l_message.event_name := p_event_name;
    l_message.payload := p_payload;
    l_message.id := p_id;
    l_publication := publication_of(p_message => l_message, p_meta => context_meta());
    if delivery_of(p_delivery => p_delivery, p_api_key => p_api_key, p_base_url => p_base_url) = c_on_commit then
      rtm_outbox_api.enqueue(p_publication => l_publication, p_source => p_source);
    else
      send_now(p_publication => l_publication, p_api_key => p_api_key, p_base_url => p_base_url, p_source => p_source);
    end if;
  end broadcast_item;

  /** Messages without gaps in their numbers, as the wire wants them; po_indexes leads back to the caller's numbers. */
  procedure collect(
    p_messages      in t_messages,
    po_publications out nocopy rtm_message.t_publications,
    po_indexes      out nocopy t_indexes
  ) is
    l_meta  varchar2(4000) := context_meta();
    l_index pls_integer := p_messages.first;
    l_count pls_integer := 0;
  begin
    while l_index is not null loop
      l_count := l_count + 1;
      po_publications(l_count) := publication_of(p_message => p_messages(l_index), p_meta => l_meta);
      po_indexes(l_count) := l_index;
      l_index := p_messages.next(l_index);
    end loop;
  end collect;

  procedure enqueue_all(
    p_publications in rtm_message.t_publications,
    p_source       in varchar2,
    po_outcomes    out nocopy t_outcomes
  ) is
  begin
    for i in 1 .. p_publications.count loop
      rtm_outbox_api.enqueue(p_publication => p_publications(i), p_source => p_source);
      po_outcomes(i).status := c_queued;
      po_outcomes(i).id := p_publications(i).id;
    end loop;
  end enqueue_all;

  procedure log_outcome(
    p_publication in rtm_message.t_publication,
    p_outcome     in t_outcome,
    p_answer      in rtm_transport.t_answer,
    p_source      in varchar2
  ) is
  begin
    rtm_log_api.log_event(
      p_source       => p_source,
      p_channel      => p_publication.channel,
      p_event_name   => p_publication.event_name,
      p_payload_json => p_publication.payload,
      p_http_status  => p_answer.status,
      p_error        => p_outcome.error,
      p_status       => case p_outcome.status when c_sent then rtm_log_api.c_sent else rtm_log_api.c_refused end,
      p_duration_ms  => p_answer.duration_ms,
      p_message_id   => p_publication.id
    );
  end log_outcome;

  /** One request with the messages p_first to p_last, whose outcomes it fills in. */
  procedure send_some(
    p_publications in rtm_message.t_publications,
    p_first        in pls_integer,
    p_last         in pls_integer,
    p_api_key      in varchar2,
    p_base_url     in varchar2,
    p_source       in varchar2,
    pio_outcomes   in out nocopy t_outcomes
  ) is
    l_body    clob;
    l_answer  rtm_transport.t_answer;
    l_results rtm_message.t_results;
    l_result  rtm_message.t_result;
  begin
    l_body := rtm_message.batch_body(p_publications => p_publications, p_first => p_first, p_last => p_last);
    l_answer := rtm_transport.post(
      p_path     => rtm_message.c_path_batch,
      p_body     => l_body,
      p_base_url => p_base_url,
      p_api_key  => p_api_key
    );
    rtm_transport.require_ok(p_answer => l_answer);
    l_results := rtm_message.batch_results(p_answer => l_answer.body, p_count => p_last - p_first + 1);
    for i in p_first .. p_last loop
      l_result := l_results(i - p_first + 1);
      pio_outcomes(i).id := p_publications(i).id;
      if l_result.is_ok then
        pio_outcomes(i).status := c_sent;
        pio_outcomes(i).epoch := l_result.epoch;
        pio_outcomes(i).publication_offset := l_result.publication_offset;
      else
        pio_outcomes(i).status := c_refused;
        pio_outcomes(i).error := substrb(l_result.code || ': ' || l_result.message, 1, 4000);
      end if;
      log_outcome(
        p_publication => p_publications(i),
        p_outcome     => pio_outcomes(i),
        p_answer      => l_answer,
        p_source      => p_source
      );
    end loop;
    rtm_message.free(pio_lob => l_body);
  exception
    when others then
      log_failure(
        p_publication => p_publications(p_first),
        p_source      => p_source,
        p_status      => l_answer.status,
        p_error       => sqlerrm
      );
      rtm_message.free(pio_lob => l_body);
      raise;
  end send_some;

  procedure send_all(
    p_publications in rtm_message.t_publications,
    p_api_key      in varchar2,
    p_base_url     in varchar2,
    p_source       in varchar2,
    pio_outcomes   in out nocopy t_outcomes
  ) is
    l_size  pls_integer := rtm_config_api.get_number(p_name => rtm_config_api.c_batch_size);
    l_first pls_integer := 1;
    l_last  pls_integer;
  begin
    while l_first <= p_publications.count loop
      l_last := rtm_message.last_fitting(p_publications => p_publications, p_first => l_first, p_max_count => l_size);
      send_some(
        p_publications => p_publications,
        p_first        => l_first,
        p_last         => l_last,
        p_api_key      => p_api_key,
        p_base_url     => p_base_url,
        p_source       => p_source,
        pio_outcomes   => pio_outcomes
      );
      l_first := l_last + 1;
    end loop;
  end send_all;

  procedure broadcast_batch(
    p_messages  in t_messages,
    po_outcomes out nocopy t_outcomes,
    p_api_key   in varchar2 default null,
    p_base_url  in varchar2 default null,
    p_delivery  in varchar2 default null,
    p_source    in varchar2 default 'WEBSOCKET_API'
  ) is
    l_publications rtm_message.t_publications;
    l_indexes      t_indexes;
    l_outcomes     t_outcomes;
  begin
    -- Passed by reference: what an earlier call left in it must not look like an outcome of this one.
    po_outcomes.delete;
    collect(p_messages => p_messages, po_publications => l_publications, po_indexes => l_indexes);
    if delivery_of(p_delivery => p_delivery, p_api_key => p_api_key, p_base_url => p_base_url) = c_on_commit then
      enqueue_all(p_publications => l_publications, p_source => p_source, po_outcomes => l_outcomes);
    else
      send_all(
        p_publications => l_publications,
        p_api_key      => p_api_key,
        p_base_url     => p_base_url,
        p_source       => p_source,
        pio_outcomes   => l_outcomes
      );
    end if;
    for i in 1 .. l_indexes.count loop
      po_outcomes(l_indexes(i)) := l_outcomes(i);
    end loop;
  end broadcast_batch;

  procedure broadcast_batch(
    p_messages in t_messages,
    p_api_key  in varchar2 default null,
    p_base_url in varchar2 default null,
    p_delivery in varchar2 default null,
    p_source   in varchar2 default 'WEBSOCKET_API'
  ) is
    l_outcomes t_outcomes;
    l_index    pls_integer;
  begin
    broadcast_batch(
      p_messages  => p_messages,
      po_outcomes => l_outcomes,
      p_api_key   => p_api_key,
      p_base_url  => p_base_url,
      p_delivery  => p_delivery,
      p_source    => p_source
    );
    l_index := l_outcomes.first;
    while l_index is not null loop
      if l_outcomes(l_index).status = c_refused then
        rtm_error.fail(
          p_code => rtm_error.c_request_refused,
          p_1    => '200, message ' || to_char(l_index),
          p_2    => l_outcomes(l_index).error
        );
      end if;
      l_index := l_outcomes.next(l_index);
    end loop;
  end broadcast_batch;
end websocket_api;
/
