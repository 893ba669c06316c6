create or replace package rtm_outbox_api
  authid definer
as
  /**
   * Messages that wait for their transaction's commit (table RTM_OUTBOX). Nothing here commits: a row exists for the
   * senders from the moment the caller commits, and never if the caller rolls back.
   */
  c_pending  constant varchar2(10) := 'PENDING';
  c_sent     constant varchar2(10) := 'SENT';
  c_parked   constant varchar2(10) := 'PARKED';

  -- The queue of db/09_rtm_wake_queue.sql, by which a relay learns of a commit without polling.
  c_wake_queue constant varchar2(30) := 'RTM_WAKE_QUEUE';

  /**
   * Stores one message with one insert in the caller's transaction.
   * @param p_publication a message that rtm_message.check_publication has passed; without an id it is given one
   * @param p_source who sends it, for the log
   * @exception rtm_error.e_outbox_insert_failed with the cause in words
   */
  procedure enqueue(p_publication in rtm_message.t_publication, p_source in varchar2);

  /**
   * Puts a parked row back in line, behind what was sent in the meantime.
   * @param p_id RTM_OUTBOX.ID
   * @exception rtm_error.e_outbox_row_unknown when there is no parked row with this id
   */
  procedure retry(p_id in number);

  /**
   * Puts all parked rows back in line.
   * @return how many
   */
  function retry_all return pls_integer;
end rtm_outbox_api;
/
