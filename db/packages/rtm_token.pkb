create or replace package body rtm_token
as
  c_token_max_characters constant pls_integer := 4000;

  /**
   * A user name goes to APEX_JWT as it is, and whether that escapes it cannot be seen. A name such as
   * X","channels":["* must not become a claim, so a name that would need escaping is refused.
   */
  procedure require_safe(p_text in varchar2, p_what in varchar2) is
  begin
    if instr(p_text, '"') > 0 or instr(p_text, '\') > 0 or regexp_like(p_text, '[[:cntrl:]]') then
      rtm_error.fail(p_code => rtm_error.c_unsafe_name, p_1 => p_what);
    end if;
  end require_safe;

  function signature_key return raw is
    l_secret varchar2(4000) := rtm_secret.stored_value(p_name => rtm_config_api.c_token_secret);
  begin
    if l_secret is null then
      rtm_error.fail(p_code => rtm_error.c_secret_missing);
    end if;
    -- The server takes the bytes of the secret in UTF-8, whatever the character set of this database is.
    return utl_i18n.string_to_raw(data => l_secret, dst_charset => 'AL32UTF8');
  end signature_key;

  /** Members of the claims object without its braces, as APEX_JWT wants them. */
  function other_claims(p_session_id in varchar2, p_channels in t_channels) return varchar2 is
    l_channels json_array_t := json_array_t();
    l_claims   varchar2(32767);
    l_index    pls_integer := p_channels.first;
  begin
    while l_index is not null loop
      l_channels.append(val => p_channels(l_index));
      l_index := p_channels.next(l_index);
    end loop;
    l_claims := '"' || c_channels_claim || '":' || l_channels.to_string();
    if p_session_id is not null then
      l_claims := '"' || c_session_claim || '":' || rtm_message.quoted(p_text => p_session_id) || ',' || l_claims;
    end if;
    return l_claims;
  end other_claims;

  function issue(
    p_user_name  in varchar2,
    p_session_id in varchar2,
    p_channels   in t_channels,
    p_lifetime_s in pls_integer default null
  ) return varchar2 is
    l_lifetime_s pls_integer :=
      nvl(p_lifetime_s, rtm_config_api.get_number(p_name => rtm_config_api.c_token_lifetime_s));
    l_token varchar2(32767);
  begin
    if p_user_name is null then
      rtm_error.fail(p_code => rtm_error.c_user_required);
    elsif l_lifetime_s not between 1 and c_max_lifetime_s then
      rtm_error.fail(p_code => rtm_error.c_invalid_lifetime, p_1 => to_char(c_max_lifetime_s));
    end if;
    require_safe(p_text => p_user_name, p_what => 'the user name');
    l_token := apex_jwt.encode(
      p_sub           => p_user_name,
      p_iat_ts        => systimestamp,
      p_exp_sec       => l_lifetime_s,
      p_jti           => rtm_message.new_id(),
      p_other_claims  => other_claims(p_session_id => p_session_id, p_channels => p_channels),
      p_signature_key => signature_key()
    );
    if length(l_token) > c_token_max_characters then
      rtm_error.fail(
        p_code => rtm_error.c_token_too_long,
        p_1    => to_char(length(l_token)),
        p_2    => to_char(c_token_max_characters)
      );
    end if;
    return l_token;
  end issue;

  function issue(
    p_user_name  in varchar2,
    p_session_id in varchar2,
    p_channel    in varchar2,
    p_lifetime_s in pls_integer default null
  ) return varchar2 is
    l_channels t_channels;
  begin
    if p_channel is not null then
      l_channels(1) := p_channel;
    end if;
    return issue(
      p_user_name  => p_user_name,
      p_session_id => p_session_id,
      p_channels   => l_channels,
      p_lifetime_s => p_lifetime_s
    );
  end issue;
end rtm_token;
/
