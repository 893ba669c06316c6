prompt WEBSOCKET_API: send messages
@@packages/websocket_api.pks
show errors
@@packages/websocket_api.pkb
show errors
