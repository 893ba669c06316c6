prompt RTM_TOKEN: tokens for browsers (needs APEX)
@@packages/rtm_token.pks
show errors
@@packages/rtm_token.pkb
show errors
