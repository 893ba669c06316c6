create or replace package test_rtm_outbox_api
as
  --%suite(RTM_OUTBOX_API and RTM_LOG_API: what belongs to the transaction and what does not)
  --%suitepath(apex_rtm)

  --%test(a stored message waits as PENDING, with an id)
  procedure stores_a_message;

  --%test(a rollback takes the message back)
  procedure follows_a_rollback;

  --%test(a message with a key of its own cannot wait)
  --%throws(-20706)
  procedure refuses_own_keys;

  --%test(a parked message is tried again when somebody says so)
  procedure retries_parked_messages;

  --%test(a row that is not parked is not tried again)
  --%throws(-20741)
  procedure refuses_to_retry_others;

  --%test(a row of the log survives the rollback of the caller)
  --%rollback(manual)
  procedure log_survives_a_rollback;

  --%test(a status that the table does not know is counted and not raised)
  procedure log_never_raises;
end test_rtm_outbox_api;
/
