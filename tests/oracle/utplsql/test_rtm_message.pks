create or replace package test_rtm_message
as
  --%suite(RTM_MESSAGE: the wire format)
  --%suitepath(apex_rtm)

  --%test(a message has the members of the protocol, in their order)
  procedure writes_all_members;

  --%test(what is not given is left out, and a missing payload is the JSON null)
  procedure leaves_out_what_is_missing;

  --%test(a payload travels as it was written, numbers included)
  procedure keeps_the_payload;

  --%test(names with quotation marks and line ends stay one JSON string)
  procedure escapes_names;

  --%test(a long payload is not cut)
  procedure takes_long_payloads;

  --%test(a batch has the messages that were asked for)
  procedure writes_batches;

  --%test(a revocation names what it was given and nothing else)
  procedure writes_revocations;

  --%test(without a channel there is no message)
  --%throws(-20700)
  procedure requires_a_channel;

  --%test(a payload that would break out of the message is refused)
  --%throws(-20703)
  procedure refuses_two_values;

  --%test(an event name over the limit is refused)
  --%throws(-20702)
  procedure refuses_long_event_names;

  --%test(the answer to a batch becomes one result for each message)
  procedure reads_results;

  --%test(an answer that is not the server's is an error)
  --%throws(-20726)
  procedure refuses_a_login_page;

  --%test(of a failure the server's words are kept, of anything else its beginning)
  procedure reads_failures;
end test_rtm_message;
/
