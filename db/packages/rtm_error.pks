create or replace package rtm_error
  authid definer
as
  /**
   * Every error this product raises on purpose: one range (-20700 to -20749), each with a name, a number and an
   * exception of that name, so that callers write "when rtm_error.e_timed_out" and never meet a bare number.
   *
   *   -20700 .. -20709  the call is wrong; repeating it unchanged will not help
   *   -20710 .. -20719  the server was not reached; the cause is in the text (ACL, certificate, wallet, timeout)
   *   -20720 .. -20729  the server answered, and not with yes
   *   -20730 .. -20734  tokens
   *   -20735 .. -20739  configuration
   *   -20740 .. -20749  outbox
   */

  -- the call
  c_channel_required      constant pls_integer := -20700;
  e_channel_required      exception;
  pragma exception_init(e_channel_required, -20700);

  c_channel_too_long      constant pls_integer := -20701;
  e_channel_too_long      exception;
  pragma exception_init(e_channel_too_long, -20701);

  c_event_name_too_long   constant pls_integer := -20702;
  e_event_name_too_long   exception;
  pragma exception_init(e_event_name_too_long, -20702);

  c_invalid_json          constant pls_integer := -20703;
  e_invalid_json          exception;
  pragma exception_init(e_invalid_json, -20703);

  c_invalid_id            constant pls_integer := -20704;
  e_invalid_id            exception;
  pragma exception_init(e_invalid_id, -20704);

  c_invalid_delivery      constant pls_integer := -20705;
  e_invalid_delivery      exception;
  pragma exception_init(e_invalid_delivery, -20705);

  c_override_needs_now    constant pls_integer := -20706;
  e_override_needs_now    exception;
  pragma exception_init(e_override_needs_now, -20706);

  c_url_not_allowed       constant pls_integer := -20707;
  e_url_not_allowed       exception;
  pragma exception_init(e_url_not_allowed, -20707);

  c_invalid_api_key       constant pls_integer := -20708;
  e_invalid_api_key       exception;
  pragma exception_init(e_invalid_api_key, -20708);

  -- the way to the server
  c_not_configured        constant pls_integer := -20710;
  e_not_configured        exception;
  pragma exception_init(e_not_configured, -20710);

  c_acl_missing           constant pls_integer := -20711;
  e_acl_missing           exception;
  pragma exception_init(e_acl_missing, -20711);

  c_certificate_refused   constant pls_integer := -20712;
  e_certificate_refused   exception;
  pragma exception_init(e_certificate_refused, -20712);

  c_wallet_unusable       constant pls_integer := -20713;
  e_wallet_unusable       exception;
  pragma exception_init(e_wallet_unusable, -20713);

  c_timed_out             constant pls_integer := -20714;
  e_timed_out             exception;
  pragma exception_init(e_timed_out, -20714);

  c_unreachable           constant pls_integer := -20715;
  e_unreachable           exception;
  pragma exception_init(e_unreachable, -20715);

  c_mle_missing           constant pls_integer := -20716;
  e_mle_missing           exception;
  pragma exception_init(e_mle_missing, -20716);

  c_transport_failed      constant pls_integer := -20717;
  e_transport_failed      exception;
  pragma exception_init(e_transport_failed, -20717);

  -- the server's answer
  c_key_refused           constant pls_integer := -20720;
  e_key_refused           exception;
  pragma exception_init(e_key_refused, -20720);

  c_request_refused       constant pls_integer := -20721;
  e_request_refused       exception;
  pragma exception_init(e_request_refused, -20721);

  c_too_large             constant pls_integer := -20722;
  e_too_large             exception;
  pragma exception_init(e_too_large, -20722);

  c_rate_limited          constant pls_integer := -20723;
  e_rate_limited          exception;
  pragma exception_init(e_rate_limited, -20723);

  c_unavailable           constant pls_integer := -20724;
  e_unavailable           exception;
  pragma exception_init(e_unavailable, -20724);

  c_server_failed         constant pls_integer := -20725;
  e_server_failed         exception;
  pragma exception_init(e_server_failed, -20725);

  c_answer_unreadable     constant pls_integer := -20726;
  e_answer_unreadable     exception;
  pragma exception_init(e_answer_unreadable, -20726);

  -- tokens
  c_secret_missing        constant pls_integer := -20730;
  e_secret_missing        exception;
  pragma exception_init(e_secret_missing, -20730);

  c_user_required         constant pls_integer := -20731;
  e_user_required         exception;
  pragma exception_init(e_user_required, -20731);

  c_unsafe_name           constant pls_integer := -20732;
  e_unsafe_name           exception;
  pragma exception_init(e_unsafe_name, -20732);

  c_token_too_long        constant pls_integer := -20733;
  e_token_too_long        exception;
  pragma exception_init(e_token_too_long, -20733);

  c_invalid_lifetime      constant pls_integer := -20734;
  e_invalid_lifetime      exception;
  pragma exception_init(e_invalid_lifetime, -20734);

  -- configuration
  c_unknown_setting       constant pls_integer := -20735;
  e_unknown_setting       exception;
  pragma exception_init(e_unknown_setting, -20735);

  c_invalid_setting       constant pls_integer := -20736;
  e_invalid_setting       exception;
  pragma exception_init(e_invalid_setting, -20736);

  c_secret_not_readable   constant pls_integer := -20737;
  e_secret_not_readable   exception;
  pragma exception_init(e_secret_not_readable, -20737);

  -- outbox
  c_outbox_insert_failed  constant pls_integer := -20740;
  e_outbox_insert_failed  exception;
  pragma exception_init(e_outbox_insert_failed, -20740);

  c_outbox_row_unknown    constant pls_integer := -20741;
  e_outbox_row_unknown    exception;
  pragma exception_init(e_outbox_row_unknown, -20741);

  /**
   * The sentence that belongs to a code, with %1 and %2 for what the caller fills in.
   * @param p_code one of the c_ constants above
   */
  function template(p_code in pls_integer) return varchar2;

  /**
   * Raises the error with its sentence. Never pass a key, a token, a password or a payload: the text is shown to users
   * and written to logs.
   * @param p_code one of the c_ constants above
   * @param p_1 takes the place of %1
   * @param p_2 takes the place of %2
   * @param p_keep_stack true puts the new error on top of the present error stack instead of replacing it
   */
  procedure fail(
    p_code       in pls_integer,
    p_1          in varchar2 default null,
    p_2          in varchar2 default null,
    p_keep_stack in boolean default false
  );
end rtm_error;
/
