"""An echo server on the product's own edge.

Sockets, handshake, framing, fragments, UTF-8 and closing are those of `apex_rtm.edge`, with the limits that a server
has by default. Only the conversation differs: it says back what it hears. Rates are off, because the suite sends
thousands of frames at once on purpose.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import uvicorn

from apex_rtm.clock import SystemClock
from apex_rtm.edge.burst import Burst
from apex_rtm.edge.guard import Proxies
from apex_rtm.edge.intake import Intake
from apex_rtm.edge.ws import Conversation, EdgeLimits, Gateway
from apex_rtm.limits import ConnectionQuota
from apex_rtm.peer import Peer
from apex_rtm.protocol import frame
from apex_rtm.settings import Settings, load_settings


class Echo:
    """A conversation that repeats every message, text as text and binary as binary."""

    is_busy = False

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def on_open(self, old_listener_channels: list[str] | None) -> None:
        """Nothing to say before the client speaks."""

    def on_text(self, text: bytes) -> None:
        """Say it again."""
        self._peer.send(frame(text))

    def on_binary(self, data: bytes) -> None:
        """Say it again; the product frames text only, so the opcode is exchanged (RFC 6455, section 5.2)."""
        self._peer.send(b"\x82" + frame(data)[1:])

    def on_pong(self, payload: bytes) -> None:
        """Nothing is asked."""

    def on_heard(self) -> None:
        """Silence is not measured here."""

    def on_writable(self) -> None:
        """Nothing waits for the peer."""

    def on_stalled(self) -> None:
        """The edge's own timer ends the connection."""

    def on_closed(self) -> None:
        """Nothing is kept."""


def _make_gateway(settings: Settings, converse: Callable[[Peer], Conversation]) -> Gateway:
    """Build the edge as `apex_rtm.app` does, but without rates."""
    return Gateway(
        converse=converse,
        quota=ConnectionQuota(total=0, per_ip=0, per_user=0),
        proxies=Proxies(()),
        limits=EdgeLimits(
            max_frame_bytes=settings.max_frame_bytes,
            outbox_max_bytes=settings.outbox_max_bytes,
            write_timeout_s=settings.write_timeout_s,
            close_timeout_s=settings.close_timeout_s,
            frame_rate=0,
            frame_burst=1,
        ),
        clock=SystemClock(),
        is_open=True,
        allowed_origins=(),
        reconnect_spread_s=settings.reconnect_spread_s,
        burst=Burst(),
    )


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@contextlib.asynccontextmanager
async def serve_edge(converse: Callable[[Peer], Conversation] = Echo) -> AsyncIterator[int]:
    """Serve a conversation on the edge for the time of a `with` block; gives the port."""
    settings = load_settings({}, {})
    intake = Intake(
        settings.max_header_bytes, settings.max_headers, settings.max_http_connections, settings.header_timeout_s
    )
    config = uvicorn.Config(
        _no_http,
        http=intake.connection,  # type: ignore[arg-type]  # uvicorn calls it with keywords only, as it would a class
        ws=_make_gateway(settings, converse).connection,  # type: ignore[arg-type]  # as above
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        try:
            await server.listens.wait()
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


async def _no_http(_scope: object, _receive: object, _send: object) -> None:
    """Nothing: the suite speaks WebSocket only."""
