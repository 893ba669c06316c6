create or replace package body test_rtm_config_api
as
  procedure stores_and_forgets is
  begin
    rtm_config_api.set_value(p_name => rtm_config_api.c_timeout_s, p_value => '9');
    ut.expect(rtm_config_api.get_number(p_name => rtm_config_api.c_timeout_s)).to_equal(9);
    rtm_config_api.set_value(p_name => rtm_config_api.c_timeout_s, p_value => null);
    ut.expect(rtm_config_api.get_number(p_name => rtm_config_api.c_timeout_s)).to_equal(5);
  end stores_and_forgets;

  procedure hides_secrets is
  begin
    rtm_config_api.set_value(p_name => rtm_config_api.c_api_key, p_value => 'not-for-your-eyes');
    ut.fail('read: ' || length(rtm_config_api.get_value(p_name => rtm_config_api.c_api_key)) || ' characters');
  end hides_secrets;

  procedure shows_no_secret is
    l_shown rtm_settings.value%type;
  begin
    rtm_config_api.set_value(p_name => rtm_config_api.c_api_key, p_value => 'not-for-your-eyes');
    select s.value
      into l_shown
      from rtm_settings s
     where s.name = rtm_config_api.c_api_key;
    ut.expect(l_shown).to_equal('(set)');
  end shows_no_secret;

  procedure refuses_unknown_names is
  begin
    rtm_config_api.set_value(p_name => 'no_such_setting', p_value => 'x');
  end refuses_unknown_names;

  procedure refuses_numbers_out_of_range is
  begin
    rtm_config_api.set_value(p_name => rtm_config_api.c_timeout_s, p_value => '61');
  end refuses_numbers_out_of_range;

  procedure refuses_short_secrets is
  begin
    rtm_config_api.set_value(p_name => rtm_config_api.c_token_secret, p_value => rpad('s', 31, 's'));
  end refuses_short_secrets;

  procedure refuses_users_in_urls is
  begin
    rtm_config_api.set_value(p_name => rtm_config_api.c_base_url, p_value => 'https://user@rtm.example.com');
  end refuses_users_in_urls;

  procedure refuses_letters_beyond_ascii is
  begin
    rtm_config_api.set_value(
      p_name  => rtm_config_api.c_base_url,
      p_value => 'https://rtm.ex' || unistr('\00E4') || 'mple.com'
    );
  end refuses_letters_beyond_ascii;
end test_rtm_config_api;
/
