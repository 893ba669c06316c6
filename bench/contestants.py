"""Every program that takes part, apex-rtm first. What cannot be had here is left out, with the reason."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import jwt

from apex_rtm.edge.ring import Ring
from bench.build import (
    PEERS,
    find_centrifugo,
    install_centrifugo,
    install_node_packages,
    install_python_packages,
    limit_program,
)
from bench.peer import Launch, Peer

API_KEY: Final = "k"  # the generator sends it to everybody
JWT_SECRET: Final = "a-secret-of-at-least-thirty-two-bytes"
_BIN: Final = Path(sys.executable).parent


def _compact(*commands: dict[str, Any]) -> str:
    return "\t".join(json.dumps(command, separators=(",", ":")) for command in commands)


def subscribe_to(channel: str) -> str:
    """What a client of apex-rtm says in open mode."""
    return _compact({"type": "subscribe", "channel": channel, "id": 1})


def connect_and_subscribe(user: str, channel: str) -> str:
    """What a client of apex-rtm says in secured mode: its token first."""
    now = int(time.time())
    claims = {"sub": user, "sid": "1", "channels": [channel], "iat": now, "exp": now + 3600}
    token = jwt.encode(claims, JWT_SECRET, algorithm="HS256")
    return _compact({"type": "connect", "token": token, "id": 1}, {"type": "subscribe", "channel": channel, "id": 2})


def _apex_environ(launch: Launch) -> Mapping[str, str]:
    settings = {"engine": "memory", "data_dir": launch.directory, "log_level": "warning", **launch.options}
    if settings.pop("secured", False):
        settings |= {"api_keys": API_KEY, "jwt_secret": JWT_SECRET}
    return {f"APEX_RTM_{name.upper()}": str(value) for name, value in settings.items()}


APEX_RTM: Final = Peer(
    "apex-rtm",
    "apex-rtm",
    lambda launch: [str(_BIN / "apex-rtm"), "serve", "--port", str(launch.port)],
    environ=_apex_environ,
    script=lambda _number: subscribe_to("test"),
    open_options={"protocol": "rtm.v1"},
)
APEX_RTM_PLAIN: Final = replace(
    APEX_RTM,
    name="apex-rtm-plain",
    label="apex-rtm, `io_uring = false`",
    environ=lambda launch: {**_apex_environ(launch), "APEX_RTM_IO_URING": "false"},
)
LIMIT: Final = Peer("c-limit", "C `send()` loop", lambda launch: [str(limit_program()), str(launch.port)])
LIMIT_URING: Final = replace(
    LIMIT,
    name="c-uring",
    label="C, its sends by io_uring",
    command=lambda launch: [str(limit_program()), str(launch.port), "uring"],
)
NODE_WS: Final = Peer(
    "node-ws",
    "Node `ws` + Express",
    lambda launch: ["node", str(PEERS / "node_ws.js"), str(launch.port)],
    environ=lambda launch: {"DEFLATE": "1" if launch.options.get("deflate") else "0"},
)
SOCKET_IO: Final = Peer(
    "socket.io",
    "Socket.IO + Express",
    lambda launch: ["node", str(PEERS / "socketio.js"), str(launch.port)],
    script=lambda _number: "<\t40",
    open_options={"path": "/socket.io/?EIO=4&transport=websocket", "ping": "2", "pong": "3"},
)
UWEBSOCKETS: Final = Peer(
    "uwebsockets",
    "uWebSockets (socketify)",
    lambda launch: [sys.executable, str(PEERS / "uwebsockets.py"), str(launch.port)],
)
WEBSOCKETS: Final = Peer(
    "websockets",
    "`websockets` `broadcast()`",
    lambda launch: [sys.executable, str(PEERS / "websockets_broadcast.py"), str(launch.port), str(launch.http_port)],
    has_own_http_port=True,
)
CENTRIFUGO: Final = Peer(
    "centrifugo",
    "Centrifugo",
    lambda launch: [str(find_centrifugo()), "--config", str(PEERS / "centrifugo.json")],
    environ=lambda launch: {"CENTRIFUGO_HTTP_SERVER_PORT": str(launch.port)},
    script=lambda _number: _compact({"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "test"}}),
    open_options={"path": "/connection/websocket", "ping": "{}", "pong": "{}", "many": 1},
    publish_path="/api/publish",
    wrap=lambda message: {
        "channel": message["channel"],
        "data": {"eventName": message["eventName"], "payload": message["payload"]},
    },
)
VARIANTS: Final = frozenset({APEX_RTM_PLAIN.name, LIMIT_URING.name})
"""Another of the programs in a mode of its own, measured where that mode makes a difference."""
ALL: Final = (APEX_RTM, APEX_RTM_PLAIN, LIMIT, LIMIT_URING, NODE_WS, UWEBSOCKETS, SOCKET_IO, WEBSOCKETS, CENTRIFUGO)


def has_io_uring() -> bool:
    """Whether apex-rtm would use it here."""
    try:
        Ring().close()
    except OSError:
        return False
    return True


def find_contestants(wanted: Sequence[str] = ()) -> tuple[list[Peer], dict[str, str]]:
    """Install what those need who are wanted, without names all; return who takes part, and why the others do not."""
    peers = [peer for peer in ALL if not wanted or peer.name in wanted]
    missing: dict[str, str] = {}
    for names, find_fault in (
        (("node-ws", "socket.io"), install_node_packages),
        (("uwebsockets",), install_python_packages),
        (("centrifugo",), install_centrifugo),
        (("c-uring",), _no_io_uring),
    ):
        concerned = [peer.name for peer in peers if peer.name in names]
        reason = find_fault() if concerned else None
        if reason is not None:
            missing |= dict.fromkeys(concerned, reason)
    return [peer for peer in peers if peer.name not in missing], missing


def _no_io_uring() -> str | None:
    return None if has_io_uring() else "io_uring is not to be had here"
