prompt RTM_LOG_API: writes and purges the log
@@packages/rtm_log_api.pks
show errors
@@packages/rtm_log_api.pkb
show errors
