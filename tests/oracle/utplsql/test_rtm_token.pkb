create or replace package body test_rtm_token
as
  procedure store_a_secret is
  begin
    rtm_config_api.set_value(p_name => rtm_config_api.c_token_secret, p_value => rpad('s', 32, 's'));
  end store_a_secret;

  /** The claims of a token, its signature not looked at. */
  function claims_of(p_token in varchar2) return json_object_t is
    l_token apex_jwt.t_token := apex_jwt.decode(p_value => p_token);
  begin
    return json_object_t.parse(jsn => l_token.payload);
  end claims_of;

  procedure names_what_it_grants is
    l_claims json_object_t := claims_of(
      p_token => rtm_token.issue(
        p_user_name  => 'SCOTT',
        p_session_id => '42',
        p_channel    => 'room',
        p_lifetime_s => 600
      )
    );
  begin
    ut.expect(l_claims.get_string(key => 'sub')).to_equal('SCOTT');
    ut.expect(l_claims.get_string(key => 'sid')).to_equal('42');
    ut.expect(l_claims.get_array(key => 'channels').to_string()).to_equal('["room"]');
    ut.expect(l_claims.get_number(key => 'exp') - l_claims.get_number(key => 'iat')).to_equal(600);
  end names_what_it_grants;

  procedure refuses_unsafe_names is
  begin
    ut.fail(rtm_token.issue(p_user_name => 'X","channels":["*', p_session_id => null, p_channel => 'room'));
  end refuses_unsafe_names;

  procedure escapes_session_ids is
    l_evil   varchar2(100) := '1","sub":"ADMIN';
    l_claims json_object_t := claims_of(
      p_token => rtm_token.issue(p_user_name => 'SCOTT', p_session_id => l_evil, p_channel => 'room')
    );
  begin
    ut.expect(l_claims.get_string(key => 'sub')).to_equal('SCOTT');
    ut.expect(l_claims.get_string(key => 'sid')).to_equal(l_evil);
  end escapes_session_ids;

  procedure requires_a_user is
  begin
    ut.fail(rtm_token.issue(p_user_name => null, p_session_id => null, p_channel => 'room'));
  end requires_a_user;

  procedure refuses_long_lives is
  begin
    ut.fail(
      rtm_token.issue(p_user_name => 'SCOTT', p_session_id => null, p_channel => 'room', p_lifetime_s => 86401)
    );
  end refuses_long_lives;

  procedure requires_a_secret is
  begin
    rtm_config_api.set_value(p_name => rtm_config_api.c_token_secret, p_value => null);
    ut.fail(rtm_token.issue(p_user_name => 'SCOTT', p_session_id => null, p_channel => 'room'));
  end requires_a_secret;
end test_rtm_token;
/
