prompt RTM_PLUGIN: what the APEX plug-ins call (needs APEX)
@@packages/rtm_plugin.pks
show errors
@@packages/rtm_plugin.pkb
show errors
