create or replace package test_rtm_token
as
  --%suite(RTM_TOKEN: tokens for browsers)
  --%suitepath(apex_rtm)

  --%beforeeach
  procedure store_a_secret;

  --%test(a token has three parts and names its user, session and channels)
  procedure names_what_it_grants;

  --%test(a user name with a quotation mark is refused)
  --%throws(-20732)
  procedure refuses_unsafe_names;

  --%test(a session id with a quotation mark stays a session id)
  procedure escapes_session_ids;

  --%test(without a user there is no token)
  --%throws(-20731)
  procedure requires_a_user;

  --%test(a lifetime of more than a day is refused)
  --%throws(-20734)
  procedure refuses_long_lives;

  --%test(without a secret no token can be signed)
  --%throws(-20730)
  procedure requires_a_secret;
end test_rtm_token;
/
