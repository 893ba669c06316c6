prompt RTM_TRANSPORT: the way to the server
@@packages/rtm_transport.pks
show errors
@@packages/rtm_transport.pkb
show errors
