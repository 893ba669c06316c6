create or replace package rtm_config_api
  authid definer
as
  /**
   * The stored configuration (table RTM_CONFIG). Grant this package to nobody: it belongs to the owning schema, which
   * is the only one that may change where messages go. Nothing here commits; the caller does.
   *
   * Secrets (api_key, token_secret, wallet_password, and proxy, which may carry a password) can be set here and are read
   * by RTM_SECRET alone.
   */
  subtype t_name is varchar2(30 char);

  -- where the server is, and who we are to it
  c_base_url            constant t_name := 'base_url';
  c_allowed_base_urls   constant t_name := 'allowed_base_urls';
  c_allow_http          constant t_name := 'allow_http';
  c_api_key             constant t_name := 'api_key';
  -- how to get there
  c_transport           constant t_name := 'transport';
  c_timeout_s           constant t_name := 'timeout_s';
  c_wallet_path         constant t_name := 'wallet_path';
  c_wallet_password     constant t_name := 'wallet_password';
  c_proxy               constant t_name := 'proxy';
  -- tokens for browsers
  c_token_secret        constant t_name := 'token_secret';
  c_token_lifetime_s    constant t_name := 'token_lifetime_s';
  -- delivery and outbox
  c_delivery            constant t_name := 'delivery';
  c_drain_by            constant t_name := 'drain_by';
  c_drain_poll_s        constant t_name := 'drain_poll_s';
  c_batch_size          constant t_name := 'batch_size';
  c_max_attempts        constant t_name := 'max_attempts';
  c_sent_keep_h         constant t_name := 'sent_keep_h';
  c_wake                constant t_name := 'wake';
  -- log
  c_log_level           constant t_name := 'log_level';
  c_log_payload         constant t_name := 'log_payload';
  c_log_keep_days       constant t_name := 'log_keep_days';

  -- values of transport
  c_mle                 constant varchar2(8) := 'MLE';
  c_utl_http            constant varchar2(8) := 'UTL_HTTP';
  -- values of delivery
  c_on_commit           constant varchar2(9) := 'ON_COMMIT';
  c_now                 constant varchar2(9) := 'NOW';
  -- values of drain_by
  c_job                 constant varchar2(5) := 'JOB';
  c_relay               constant varchar2(5) := 'RELAY';
  -- values of wake
  c_wake_none           constant varchar2(5) := 'NONE';
  c_wake_queue          constant varchar2(5) := 'QUEUE';
  -- values of log_level
  c_log_all             constant varchar2(6) := 'ALL';
  c_log_errors          constant varchar2(6) := 'ERRORS';
  c_log_off             constant varchar2(6) := 'OFF';
  -- values of allow_http and log_payload
  c_yes                 constant varchar2(1) := 'Y';
  c_no                  constant varchar2(1) := 'N';

  -- HS256 wants a key as long as its hash (RFC 7518, 3.2); the server refuses a shorter one at start.
  c_min_secret_bytes    constant pls_integer := 32;

  /**
   * Stores a setting; null puts it back to its default.
   * @param p_name one of the names above
   * @param p_value the value; whole numbers as digits; allowed_base_urls separated by single spaces
   * @exception rtm_error.e_unknown_setting
   * @exception rtm_error.e_invalid_setting the text says what would be right
   */
  procedure set_value(p_name in varchar2, p_value in varchar2);

  /**
   * The stored value, or the default.
   * @exception rtm_error.e_unknown_setting
   * @exception rtm_error.e_secret_not_readable
   */
  function get_value(p_name in varchar2) return varchar2;

  /** get_value for settings that are whole numbers. */
  function get_number(p_name in varchar2) return pls_integer;

  /** Whether a setting may be shown. */
  function is_secret(p_name in varchar2) return boolean;

  /** Whether a text may stand in an HTTP header: printable ASCII without spaces, so no header can be smuggled in. */
  function is_header_safe(p_text in varchar2) return boolean;

  /**
   * A base URL in its one written form: scheme, host, port and path, without a slash at the end.
   * @exception rtm_error.e_url_not_allowed when it is not http or https, carries a user, a query or a fragment, or is
   *   plain http to another machine while allow_http is not Y
   */
  function clean_url(p_url in varchar2) return varchar2;

  /** Whether clean_url(p_url) is the stored base URL or one of allowed_base_urls. */
  function is_allowed(p_url in varchar2) return boolean;
end rtm_config_api;
/
