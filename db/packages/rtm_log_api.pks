create or replace package rtm_log_api
  authid definer
as
  /**
   * Writes and purges RTM_LOG. What is written is set by log_level (ALL, ERRORS, OFF) and log_payload (Y, N).
   *
   * A failure to log never reaches the caller: it is counted in this session and can be asked for. Secrets are never
   * passed to this package.
   */
  c_sent     constant varchar2(10) := 'SENT';
  c_failed   constant varchar2(10) := 'FAILED';
  c_refused  constant varchar2(10) := 'REFUSED';
  c_parked   constant varchar2(10) := 'PARKED';
  c_info     constant varchar2(10) := 'INFO';

  /**
   * Writes one row in a transaction of its own, so that it survives the caller's rollback.
   * @param p_source who sent it: a package, a plug-in, a job
   * @param p_channel channel; the log keeps the first 500 characters
   * @param p_event_name event name
   * @param p_payload_json the payload; stored only where log_payload is Y, its length always
   * @param p_http_status HTTP status of the server, null when it was not reached
   * @param p_extra_info anything else, such as the server's answer
   * @param p_error error text; not null makes the status FAILED where p_status is null
   * @param p_status one of the constants above
   * @param p_duration_ms milliseconds from the request to the answer
   * @param p_message_id id of the message
   */
  procedure log_event(
    p_source       in varchar2,
    p_channel      in varchar2,
    p_event_name   in varchar2,
    p_payload_json in clob default null,
    p_http_status  in number default null,
    p_extra_info   in varchar2 default null,
    p_error        in varchar2 default null,
    p_status       in varchar2 default null,
    p_duration_ms  in number default null,
    p_message_id   in varchar2 default null
  );

  /**
   * log_event inside the transaction that runs, for the outbox job: a hundred rows there are one commit, not a hundred.
   */
  procedure log_in_transaction(
    p_source       in varchar2,
    p_channel      in varchar2,
    p_event_name   in varchar2,
    p_payload_json in clob default null,
    p_http_status  in number default null,
    p_extra_info   in varchar2 default null,
    p_error        in varchar2 default null,
    p_status       in varchar2 default null,
    p_duration_ms  in number default null,
    p_message_id   in varchar2 default null
  );

  /**
   * Deletes what is older, in transactions of its own and in pieces that do not fill the undo.
   * @param p_keep_days days to keep; null takes the setting log_keep_days
   * @return number of rows deleted
   */
  function purge(p_keep_days in pls_integer default null) return pls_integer;

  /** How many rows this session could not write. */
  function failure_count return pls_integer;

  /** Why the last one could not be written; null when all were. */
  function last_failure return varchar2;
end rtm_log_api;
/
