create or replace package rtm_token
  authid definer
as
  /**
   * Signs the tokens that let a browser subscribe (docs/protocol.md, section 8): JWT, HS256, the setting token_secret,
   * which is the server's jwt_secret. No HTTP call is made.
   *
   * Claims: sub (user name), sid (session id), channels, iat, exp, jti. A user's own channel, user:<name>, needs no
   * grant.
   */
  subtype t_token is varchar2(4000);

  type t_channels is table of varchar2(4000) index by pls_integer;

  -- Names of the claims that APEX_JWT does not write by itself.
  c_session_claim   constant varchar2(30) := 'sid';
  c_channels_claim  constant varchar2(30) := 'channels';

  c_max_lifetime_s  constant pls_integer := 86400;

  /**
   * @param p_user_name name as it shall be compared, case included; APEX writes it in upper case
   * @param p_session_id id of the APEX session; may be null
   * @param p_channels channels, or prefixes ending in *; may be empty
   * @param p_lifetime_s seconds until the token ends; null takes the setting token_lifetime_s
   * @return the signed token
   * @exception rtm_error.e_user_required, e_unsafe_name, e_secret_missing, e_invalid_lifetime, e_token_too_long
   */
  function issue(
    p_user_name  in varchar2,
    p_session_id in varchar2,
    p_channels   in t_channels,
    p_lifetime_s in pls_integer default null
  ) return varchar2;

  /** issue for one channel; null grants none but the user's own. */
  function issue(
    p_user_name  in varchar2,
    p_session_id in varchar2,
    p_channel    in varchar2,
    p_lifetime_s in pls_integer default null
  ) return varchar2;
end rtm_token;
/
