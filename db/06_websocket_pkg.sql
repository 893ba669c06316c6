prompt WEBSOCKET_PKG: rooms and users
@@packages/websocket_pkg.pks
show errors
@@packages/websocket_pkg.pkb
show errors
