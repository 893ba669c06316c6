"""uWebSockets through socketify: its own HTTP server and its own publish and subscribe, both in C++."""

from __future__ import annotations

import json
import sys
from typing import Any

from socketify import App, AppListenOptions, CompressOptions, OpCode


def _open(ws: Any) -> None:
    ws.subscribe("test")


async def _broadcast(response: Any, request: Any) -> None:
    body = await response.get_data()
    message = json.loads(body.getvalue())
    text = json.dumps(
        {"channel": message["channel"], "eventName": message["eventName"], "payload": message["payload"]},
        separators=(",", ":"),
    )
    app.publish(message["channel"], text, OpCode.TEXT)
    response.end('{"ok":true}')


app = App()
app.ws("/*", {"compression": CompressOptions.DISABLED, "idle_timeout": 120, "open": _open})
app.post("/api/broadcast", _broadcast)
app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"))
app.run()
