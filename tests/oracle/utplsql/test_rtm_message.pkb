create or replace package body test_rtm_message
as
  function message_of(
    p_channel    in varchar2,
    p_event_name in varchar2 default null,
    p_payload    in clob default null,
    p_meta       in varchar2 default null,
    p_id         in varchar2 default null
  ) return rtm_message.t_publication is
    l_publication rtm_message.t_publication;
  begin
    l_publication.channel := p_channel;
    l_publication.event_name := p_event_name;
    l_publication.payload := p_payload;
    l_publication.meta := p_meta;
    l_publication.id := p_id;
    return l_publication;
  end message_of;

  function body_of(p_publication in rtm_message.t_publication) return varchar2 is
  begin
    return dbms_lob.substr(
      lob_loc => rtm_message.publication_body(p_publication => p_publication),
      amount  => 4000,
      offset  => 1
    );
  end body_of;

  procedure writes_all_members is
  begin
    ut.expect(
      body_of(
        p_publication => message_of(
          p_channel    => 'c',
          p_event_name => 'e',
          p_payload    => '{"a":1}',
          p_meta       => '{"user":"SCOTT"}',
          p_id         => 'i'
        )
      )
    ).to_equal('{"channel":"c","eventName":"e","payload":{"a":1},"meta":{"user":"SCOTT"},"id":"i"}');
  end writes_all_members;

  procedure leaves_out_what_is_missing is
  begin
    ut.expect(body_of(p_publication => message_of(p_channel => 'c'))).to_equal(
      '{"channel":"c","eventName":null,"payload":null}'
    );
  end leaves_out_what_is_missing;

  procedure keeps_the_payload is
    l_payload varchar2(100) := '{"big": 12345678901234567890, "z": 1.10}';
  begin
    ut.expect(
      instr(body_of(p_publication => message_of(p_channel => 'c', p_payload => l_payload)), l_payload)
    ).to_be_greater_than(0);
  end keeps_the_payload;

  procedure escapes_names is
    l_body json_object_t := json_object_t.parse(
      jsn => body_of(p_publication => message_of(p_channel => 'a"b' || chr(10) || 'c\'))
    );
  begin
    ut.expect(l_body.get_string(key => 'channel')).to_equal('a"b' || chr(10) || 'c\');
  end escapes_names;

  procedure takes_long_payloads is
    l_payload clob;
    l_body    clob;
  begin
    for i in 1 .. 20 loop
      l_payload := l_payload || rpad('x', 4000, 'x');
    end loop;
    l_payload := '"' || l_payload || '"';
    l_body := rtm_message.publication_body(p_publication => message_of(p_channel => 'c', p_payload => l_payload));
    ut.expect(dbms_lob.getlength(lob_loc => l_body)).to_be_greater_than(80000);
    rtm_message.free(pio_lob => l_body);
  end takes_long_payloads;

  procedure writes_batches is
    l_messages rtm_message.t_publications;
    l_body     clob;
  begin
    for i in 1 .. 3 loop
      l_messages(i) := message_of(p_channel => to_char(i));
    end loop;
    l_body := rtm_message.batch_body(p_publications => l_messages, p_first => 2, p_last => 3);
    ut.expect(dbms_lob.substr(lob_loc => l_body, amount => 4000, offset => 1)).to_equal(
      '{"messages":[{"channel":"2","eventName":null,"payload":null},{"channel":"3","eventName":null,"payload":null}]}'
    );
    rtm_message.free(pio_lob => l_body);
  end writes_batches;

  procedure writes_revocations is
    l_body clob := rtm_message.revocation_body(p_user_name => 'SCOTT', p_session_id => null, p_channel => 'c');
  begin
    ut.expect(dbms_lob.substr(lob_loc => l_body, amount => 4000, offset => 1)).to_equal(
      '{"user":"SCOTT","channel":"c"}'
    );
  end writes_revocations;

  procedure requires_a_channel is
  begin
    rtm_message.check_publication(p_publication => message_of(p_channel => null));
  end requires_a_channel;

  procedure refuses_two_values is
  begin
    rtm_message.check_publication(
      p_publication => message_of(p_channel => 'c', p_payload => '1, "meta": {"user": "KING"}')
    );
  end refuses_two_values;

  procedure refuses_long_event_names is
  begin
    rtm_message.check_publication(
      p_publication => message_of(p_channel => 'c', p_event_name => rpad('x', 131, 'x'))
    );
  end refuses_long_event_names;

  procedure reads_results is
    l_results rtm_message.t_results;
  begin
    l_results := rtm_message.batch_results(
      p_answer => '{"ok":true,"results":[{"ok":true,"id":"i","epoch":"e","offset":12},'
        || '{"ok":false,"code":"too_large","message":"the message has 9 bytes"}]}',
      p_count  => 2
    );
    ut.expect(l_results(1).is_ok).to_be_true();
    ut.expect(l_results(1).epoch).to_equal('e');
    ut.expect(l_results(1).publication_offset).to_equal(12);
    ut.expect(l_results(2).is_ok).to_be_false();
    ut.expect(l_results(2).code).to_equal('too_large');
  end reads_results;

  procedure refuses_a_login_page is
    l_results rtm_message.t_results;
  begin
    l_results := rtm_message.batch_results(p_answer => '<html>please log in</html>', p_count => 1);
    ut.fail('a page with ' || to_char(l_results.count) || ' results was taken for an answer');
  end refuses_a_login_page;

  procedure reads_failures is
  begin
    ut.expect(rtm_message.failure_text(p_answer => '{"ok":false,"code":"x","message":"words"}')).to_equal('words');
    ut.expect(length(rtm_message.failure_text(p_answer => rpad('<html>', 900, 'x')))).to_equal(500);
  end reads_failures;
end test_rtm_message;
/
