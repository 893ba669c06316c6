"""The `websockets` library: its server and `broadcast()` on uvloop; a bare ASGI function on uvicorn takes the POST.

`websockets_broadcast.py WEBSOCKET_PORT HTTP_PORT`
"""

from __future__ import annotations

import json
import sys
from typing import Any

import uvicorn
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

_clients: set[ServerConnection] = set()


async def _subscriber(connection: ServerConnection) -> None:
    _clients.add(connection)
    try:
        await connection.wait_closed()
    finally:
        _clients.discard(connection)


async def _post(_scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    message = json.loads(body)
    text = json.dumps(
        {"channel": message["channel"], "eventName": message["eventName"], "payload": message["payload"]},
        separators=(",", ":"),
    )
    broadcast(_clients, text)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"11")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"ok":true}'})


async def main(websocket_port: int, http_port: int) -> None:
    config = uvicorn.Config(
        _post, host="127.0.0.1", port=http_port, log_level="error", access_log=False, lifespan="off", ws="none"
    )
    async with serve(_subscriber, "127.0.0.1", websocket_port, compression=None, backlog=4096):
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
