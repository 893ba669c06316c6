create or replace package rtm_message
  authid definer
as
  /**
   * The wire format: what the server is sent and what it answers (docs/protocol.md, section 3). Every name that travels
   * is a constant of this specification, and nothing else in the schema writes or reads JSON for the server.
   *
   * A payload is checked and then passed on as the caller wrote it; it is never rebuilt, which would change numbers.
   */
  c_path_broadcast   constant varchar2(30) := '/api/broadcast';
  c_path_batch       constant varchar2(30) := '/api/broadcast/batch';
  c_path_revoke      constant varchar2(30) := '/api/revoke';

  -- Members of a message, in the order in which they are written.
  c_channel_open     constant varchar2(30) := '{"channel":';
  c_event_name_next  constant varchar2(30) := ',"eventName":';
  c_payload_next     constant varchar2(30) := ',"payload":';
  c_meta_next        constant varchar2(30) := ',"meta":';
  c_id_next          constant varchar2(30) := ',"id":';
  c_close            constant varchar2(30) := '}';
  -- Around the messages of a batch.
  c_batch_open       constant varchar2(30) := '{"messages":[';
  c_batch_next       constant varchar2(30) := ',';
  c_batch_close      constant varchar2(30) := ']}';
  -- Members of a revocation; those that are not given are left out.
  c_revoke_user      constant varchar2(30) := 'user';
  c_revoke_session   constant varchar2(30) := 'sessionId';
  c_revoke_channel   constant varchar2(30) := 'channel';

  c_channel_max_bytes          constant pls_integer := 4000;
  c_event_name_max_characters  constant pls_integer := 130;
  c_id_max_characters          constant pls_integer := 128;

  /** One message. payload and meta are JSON texts; null stands for the JSON null and for no meta. */
  type t_publication is record (
    channel    varchar2(32767),
    event_name varchar2(32767),
    payload    clob,
    meta       varchar2(4000),
    id         varchar2(32767)
  );
  type t_publications is table of t_publication index by pls_integer;

  /** What the server says of one message: epoch and offset where it was taken, code and message where it was not. */
  type t_result is record (
    is_ok              boolean,
    id                 varchar2(512),
    epoch              varchar2(512),
    publication_offset number,
    code               varchar2(512),
    message            varchar2(4000)
  );
  type t_results is table of t_result index by pls_integer;

  /**
   * Checks a message before anything is stored or sent, cheapest test first.
   * @exception rtm_error.e_channel_required
   * @exception rtm_error.e_channel_too_long
   * @exception rtm_error.e_event_name_too_long
   * @exception rtm_error.e_invalid_id
   * @exception rtm_error.e_invalid_json
   */
  procedure check_publication(p_publication in t_publication);

  /** Whether a text is exactly one JSON value by the strict grammar (RFC 8259), a scalar included. */
  function is_json(p_text in clob) return boolean;

  /** A text as a JSON string with its quotation marks; null becomes null. */
  function quoted(p_text in varchar2) return varchar2;

  /** A new id for a message: unique in the world, 32 hexadecimal digits. */
  function new_id return varchar2;

  /**
   * Body of POST /api/broadcast. The caller frees the temporary LOB.
   * @param p_publication a message that check_publication has passed
   */
  function publication_body(p_publication in t_publication) return clob;

  /**
   * Body of POST /api/broadcast/batch with the messages p_first to p_last. The caller frees the temporary LOB.
   */
  function batch_body(
    p_publications in t_publications,
    p_first        in pls_integer,
    p_last         in pls_integer
  ) return clob;

  /**
   * The last message that still fits into one request with p_first, which itself always does.
   * @param p_max_count how many messages one request may have
   */
  function last_fitting(
    p_publications in t_publications,
    p_first        in pls_integer,
    p_max_count    in pls_integer
  ) return pls_integer;

  /** Body of POST /api/revoke. The caller frees the temporary LOB. */
  function revocation_body(
    p_user_name  in varchar2,
    p_session_id in varchar2,
    p_channel    in varchar2
  ) return clob;

  /**
   * Reads the answer to a batch.
   * @return as many results as there were messages, from 1
   * @exception rtm_error.e_answer_unreadable when it is something else, such as a login page of a proxy
   */
  function batch_results(p_answer in clob, p_count in pls_integer) return t_results;

  /** The member "message" of a failure answer, or the answer's first 500 characters where it is not JSON. */
  function failure_text(p_answer in clob) return varchar2;

  /** Frees a temporary LOB, if it is one. */
  procedure free(pio_lob in out nocopy clob);
end rtm_message;
/
