create or replace package body rtm_message
as
  -- Characters in one request. Even at six bytes each (an escape) they stay below the server's max_body_bytes (8 MiB by
  -- default).
  c_request_characters  constant pls_integer := 500000;
  -- Names of the members and punctuation of one message.
  c_envelope_characters constant pls_integer := 100;

  function is_json(p_text in clob) return boolean is
    l_array   clob;
    l_matches pls_integer;
  begin
    -- Inside brackets, because releases before 21c know no JSON text that is a scalar. "1,2" and "1],[2" could break
    -- out of the message they are spliced into: the element count stops the first, the grammar the second.
    l_array := '[' || p_text || ']';
    select count(*)
      into l_matches
      from dual
     where l_array is json strict
       and json_exists(l_array, '$[0]')
       and not json_exists(l_array, '$[1]');
    return l_matches = 1;
  end is_json;

  function quoted(p_text in varchar2) return varchar2 is
    l_array json_array_t := json_array_t();
    l_text  varchar2(32767);
  begin
    if p_text is null then
      return 'null';
    end if;
    -- The database's own generator escapes it: ["..."] without the brackets.
    l_array.append(val => p_text);
    l_text := l_array.to_string();
    return substr(l_text, 2, length(l_text) - 2);
  end quoted;

  function new_id return varchar2 is
  begin
    return lower(rawtohex(sys_guid()));
  end new_id;

  procedure check_publication(p_publication in t_publication) is
    l_channel_bytes pls_integer := lengthb(p_publication.channel);
  begin
    if p_publication.channel is null then
      rtm_error.fail(p_code => rtm_error.c_channel_required);
    elsif l_channel_bytes > c_channel_max_bytes then
      rtm_error.fail(
        p_code => rtm_error.c_channel_too_long,
        p_1    => to_char(l_channel_bytes),
        p_2    => to_char(c_channel_max_bytes)
      );
    elsif length(p_publication.event_name) > c_event_name_max_characters then
      rtm_error.fail(
        p_code => rtm_error.c_event_name_too_long,
        p_1    => to_char(length(p_publication.event_name)),
        p_2    => to_char(c_event_name_max_characters)
      );
    elsif length(p_publication.id) > c_id_max_characters then
      rtm_error.fail(p_code => rtm_error.c_invalid_id, p_1 => to_char(c_id_max_characters));
    elsif dbms_lob.getlength(lob_loc => p_publication.payload) > 0
      and not is_json(p_text => p_publication.payload)
    then
      rtm_error.fail(p_code => rtm_error.c_invalid_json, p_1 => 'payload');
    end if;
  end check_publication;

  /** Not writeappend: that wants a length, whose unit for characters beyond U+FFFF differs from that of length(). */
  procedure put(pio_body in out nocopy clob, p_text in varchar2) is
    l_text clob := p_text;
  begin
    dbms_lob.append(dest_lob => pio_body, src_lob => l_text);
  end put;

  procedure put_publication(pio_body in out nocopy clob, p_publication in t_publication) is
    l_tail varchar2(32767);
  begin
    put(
      pio_body => pio_body,
      p_text   => c_channel_open || quoted(p_text => p_publication.channel)
        || c_event_name_next || quoted(p_text => p_publication.event_name)
        || c_payload_next
    );
    if dbms_lob.getlength(lob_loc => p_publication.payload) > 0 then
      dbms_lob.append(dest_lob => pio_body, src_lob => p_publication.payload);
    else
      l_tail := 'null';
    end if;
    if p_publication.meta is not null then
      l_tail := l_tail || c_meta_next || p_publication.meta;
    end if;
    if p_publication.id is not null then
      l_tail := l_tail || c_id_next || quoted(p_text => p_publication.id);
    end if;
    put(pio_body => pio_body, p_text => l_tail || c_close);
  end put_publication;

  function publication_body(p_publication in t_publication) return clob is
    l_body clob;
  begin
    dbms_lob.createtemporary(lob_loc => l_body, cache => true, dur => dbms_lob.call);
    put_publication(pio_body => l_body, p_publication => p_publication);
    return l_body;
  end publication_body;

  function batch_body(
    p_publications in t_publications,
    p_first        in pls_integer,
    p_last         in pls_integer
  ) return clob is
    l_body clob;
  begin
    dbms_lob.createtemporary(lob_loc => l_body, cache => true, dur => dbms_lob.call);
    put(pio_body => l_body, p_text => c_batch_open);
    for i in p_first .. p_last loop
      if i > p_first then
        put(pio_body => l_body, p_text => c_batch_next);
      end if;
      put_publication(pio_body => l_body, p_publication => p_publications(i));
    end loop;
    put(pio_body => l_body, p_text => c_batch_close);
    return l_body;
  end batch_body;

  /** Characters of a message in a request. As they are: a flat 5000 for the names let no request have 100 messages. */
  function size_of(p_publication in t_publication) return number is
  begin
    return c_envelope_characters
      + nvl(length(p_publication.channel), 0)
      + nvl(length(p_publication.event_name), 0)
      + nvl(length(p_publication.meta), 0)
      + nvl(length(p_publication.id), 0)
      + nvl(dbms_lob.getlength(lob_loc => p_publication.payload), 0);
  end size_of;

  function last_fitting(
    p_publications in t_publications,
    p_first        in pls_integer,
    p_max_count    in pls_integer
  ) return pls_integer is
    l_last       pls_integer := least(p_first + p_max_count - 1, p_publications.count);
    l_characters number := 0;
  begin
    for i in p_first .. l_last loop
      l_characters := l_characters + size_of(p_publication => p_publications(i));
      if i > p_first and l_characters > c_request_characters then
        return i - 1;
      end if;
    end loop;
    return l_last;
  end last_fitting;

  function revocation_body(
    p_user_name  in varchar2,
    p_session_id in varchar2,
    p_channel    in varchar2
  ) return clob is
    l_revocation json_object_t := json_object_t();
  begin
    if p_user_name is not null then
      l_revocation.put(key => c_revoke_user, val => p_user_name);
    end if;
    if p_session_id is not null then
      l_revocation.put(key => c_revoke_session, val => p_session_id);
    end if;
    if p_channel is not null then
      l_revocation.put(key => c_revoke_channel, val => p_channel);
    end if;
    return l_revocation.to_clob();
  end revocation_body;

  function result_of(p_result in json_object_t) return t_result is
    l_result t_result;
  begin
    l_result.is_ok := nvl(p_result.get_boolean(key => 'ok'), false);
    if l_result.is_ok then
      l_result.id := p_result.get_string(key => 'id');
      l_result.epoch := p_result.get_string(key => 'epoch');
      l_result.publication_offset := p_result.get_number(key => 'offset');
    else
      l_result.code := p_result.get_string(key => 'code');
      l_result.message := substrb(p_result.get_string(key => 'message'), 1, 4000);
    end if;
    return l_result;
  end result_of;

  function batch_results(p_answer in clob, p_count in pls_integer) return t_results is
    l_answers json_array_t;
    l_results t_results;
  begin
    l_answers := json_object_t.parse(jsn => p_answer).get_array(key => 'results');
    if l_answers is null or l_answers.get_size() <> p_count then
      rtm_error.fail(
        p_code => rtm_error.c_answer_unreadable,
        p_1    => '200',
        p_2    => 'it does not have one result for each message'
      );
    end if;
    for i in 1 .. p_count loop
      l_results(i) := result_of(p_result => treat(l_answers.get(pos => i - 1) as json_object_t));
    end loop;
    return l_results;
  exception
    when rtm_error.e_answer_unreadable then
      raise;
    when others then
      rtm_error.fail(
        p_code       => rtm_error.c_answer_unreadable,
        p_1          => '200',
        p_2          => sqlerrm,
        p_keep_stack => true
      );
      raise;
  end batch_results;

  function failure_text(p_answer in clob) return varchar2 is
    l_message varchar2(4000);
  begin
    -- Without further words it returns varchar2(4000), and null for what is not JSON or has no such member.
    select json_value(p_answer, '$.message')
      into l_message
      from dual;
    return coalesce(l_message, dbms_lob.substr(lob_loc => p_answer, amount => 500, offset => 1));
  end failure_text;

  procedure free(pio_lob in out nocopy clob) is
  begin
    if dbms_lob.istemporary(lob_loc => pio_lob) = 1 then
      dbms_lob.freetemporary(lob_loc => pio_lob);
    end if;
  end free;
end rtm_message;
/
