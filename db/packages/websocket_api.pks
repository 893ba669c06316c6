create or replace package websocket_api
  authid definer
as
  /**
   * Sends messages to the pages that listen. Every message gets the member meta with user, appId and pageId of the APEX
   * session that sends it (outside of APEX: no meta); the caller cannot set it, so a page may trust it.
   *
   * When it is sent:
   *   ON_COMMIT  the message is stored with one insert in the caller's transaction and goes out after the commit, or
   *              never after a rollback. Nothing waits for the network.
   *   NOW        the message goes out before this call returns, whatever becomes of the transaction. For progress bars
   *              and the like. The caller waits for the server, up to timeout_s and longer where the host is silent.
   *   null       NOW where p_api_key or p_base_url is given, because a stored row keeps neither; otherwise the setting
   *              delivery, which is ON_COMMIT until somebody changes it. Reasons: docs/adr/0100.
   *
   * Nothing here commits or rolls back.
   */
  c_on_commit  constant varchar2(9) := 'ON_COMMIT';
  c_now        constant varchar2(9) := 'NOW';

  -- What became of a message of a batch.
  c_sent       constant varchar2(7) := 'SENT';
  c_queued     constant varchar2(7) := 'QUEUED';
  c_refused    constant varchar2(7) := 'REFUSED';

  /** Wider than what is allowed, so that a name that is too long is refused in words and not with ORA-06502. */
  type t_message is record (
    channel    varchar2(32767),
    event_name varchar2(32767),
    payload    clob,
    id         varchar2(32767)
  );
  type t_messages is table of t_message index by pls_integer;

  /** id is always set; epoch and offset where status is SENT, error where it is REFUSED. */
  type t_outcome is record (
    status             varchar2(7),
    id                 varchar2(128 char),
    epoch              varchar2(512),
    publication_offset number,
    error              varchar2(4000)
  );
  type t_outcomes is table of t_outcome index by pls_integer;

  /**
   * Sends one message.
   * @param p_api_key API key; null takes the stored one (for the stored base URL only)
   * @param p_base_url such as https://rtm.example.com; null takes the stored one, and another one must be in
   *   allowed_base_urls
   * @param p_channel channel, case-sensitive, at most 4000 bytes
   * @param p_event_name event name, at most 130 characters
   * @param p_payload any JSON value; null is the JSON null
   * @param p_delivery ON_COMMIT, NOW or null, see above
   * @param p_id makes the call repeatable: the server delivers an id of a channel once within its idempotency window
   * @param p_source name under which the log shows it
   * @exception rtm_error.e_channel_required, e_channel_too_long, e_event_name_too_long, e_invalid_id, e_invalid_json,
   *   e_invalid_delivery, e_override_needs_now: nothing was stored or sent
   * @exception rtm_error.e_outbox_insert_failed
   * @exception those of rtm_transport.post and rtm_transport.require_ok, with NOW
   */
  procedure broadcast_item(
    p_api_key    in varchar2 default null,
    p_base_url   in varchar2 default null,
    p_channel    in varchar2,
    p_event_name in varchar2 default null,
    p_payload    in clob default null,
    p_delivery   in varchar2 default null,
    p_id         in varchar2 default null,
    p_source     in varchar2 default 'WEBSOCKET_API'
  );

  /**
   * Sends many messages with few requests. All are checked before the first is stored or sent. Messages of one channel
   * keep their order.
   * @param p_messages messages, in the order of their indexes
   * @param po_outcomes one for each message, under its index; a refused message does not stop the others and raises
   *   nothing
   * @exception as broadcast_item; with NOW, what earlier requests of the same call sent stays sent
   */
  procedure broadcast_batch(
    p_messages  in t_messages,
    po_outcomes out nocopy t_outcomes,
    p_api_key   in varchar2 default null,
    p_base_url  in varchar2 default null,
    p_delivery  in varchar2 default null,
    p_source    in varchar2 default 'WEBSOCKET_API'
  );

  /**
   * broadcast_batch for callers who need no outcomes.
   * @exception rtm_error.e_request_refused when a message was refused; the others were sent
   */
  procedure broadcast_batch(
    p_messages in t_messages,
    p_api_key  in varchar2 default null,
    p_base_url in varchar2 default null,
    p_delivery in varchar2 default null,
    p_source   in varchar2 default 'WEBSOCKET_API'
  );
end websocket_api;
/
