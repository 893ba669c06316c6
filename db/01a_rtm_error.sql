prompt RTM_ERROR: named errors
@@packages/rtm_error.pks
show errors
@@packages/rtm_error.pkb
show errors
