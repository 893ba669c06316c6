create or replace package rtm_transport
  authid definer
as
  /**
   * Carries a body to the server: over UTL_HTTP, or over JavaScript (MLE) where the setting transport says so. Needs
   * neither an APEX session nor APEX itself, so that jobs use it too. The network ACL must be granted to the schema
   * that owns this package, because UTL_HTTP looks at the owner of a definer-rights caller.
   *
   * Where a call may go: to the stored base_url, which alone is sent the stored API key, or to one of
   * allowed_base_urls, which gets only the key the caller passes. Everything else is refused, and no redirect is
   * followed, so that neither a parameter nor a server can turn this package against other machines.
   */

  /** status is the HTTP status, body the text of the answer, duration_ms the time from the request to the answer. */
  type t_answer is record (
    status      pls_integer,
    body        clob,
    duration_ms number
  );

  /**
   * Sends a POST with a JSON body and waits for the answer, for at most the setting timeout_s once the server has
   * accepted the connection. Any HTTP status is an answer and no error: see require_ok.
   * @param p_path one of rtm_message.c_path_...
   * @param p_body JSON text of any size; goes out as UTF-8
   * @param p_base_url null takes the stored base_url
   * @param p_api_key null takes the stored api_key, and for another base URL none
   * @exception rtm_error.e_not_configured, e_url_not_allowed, e_invalid_api_key
   * @exception rtm_error.e_acl_missing, e_certificate_refused, e_wallet_unusable, e_timed_out, e_unreachable,
   *   e_mle_missing, e_transport_failed
   */
  function post(
    p_path     in varchar2,
    p_body     in clob,
    p_base_url in varchar2 default null,
    p_api_key  in varchar2 default null
  ) return t_answer;

  /**
   * Raises the error that belongs to the answer's status; returns on 200.
   * @exception rtm_error.e_key_refused (401), e_too_large (413), e_rate_limited (429), e_unavailable (502, 503, 504),
   *   e_server_failed (other 5xx, and 3xx), e_request_refused (other 4xx)
   */
  procedure require_ok(p_answer in t_answer);

  /** Whether these two are the stored configuration, or null, and may therefore be left out of a stored message. */
  function is_stored_target(p_base_url in varchar2, p_api_key in varchar2) return boolean;
end rtm_transport;
/
