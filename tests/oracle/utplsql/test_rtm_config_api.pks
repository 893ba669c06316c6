create or replace package test_rtm_config_api
as
  --%suite(RTM_CONFIG_API: settings)
  --%suitepath(apex_rtm)

  --%test(a stored value is read back, and null brings back the default)
  procedure stores_and_forgets;

  --%test(a secret goes in and does not come out)
  --%throws(-20737)
  procedure hides_secrets;

  --%test(the view shows that a secret is set, and not what it is)
  procedure shows_no_secret;

  --%test(an unknown name is refused)
  --%throws(-20735)
  procedure refuses_unknown_names;

  --%test(a number out of its range is refused)
  --%throws(-20736)
  procedure refuses_numbers_out_of_range;

  --%test(a token secret under 32 bytes is refused)
  --%throws(-20736)
  procedure refuses_short_secrets;

  --%test(a URL with a user in it is refused)
  --%throws(-20707)
  procedure refuses_users_in_urls;

  --%test(letters of other languages are refused in a host name, whatever NLS_SORT says)
  --%throws(-20707)
  procedure refuses_letters_beyond_ascii;
end test_rtm_config_api;
/
