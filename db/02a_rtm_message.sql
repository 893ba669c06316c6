prompt RTM_MESSAGE: the wire format
@@packages/rtm_message.pks
show errors
@@packages/rtm_message.pkb
show errors
