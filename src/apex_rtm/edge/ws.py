"""The WebSocket edge: one connection between uvicorn's socket and a session.

The framing of what comes in, the handshake and the closing handshake are those of `websockets`' Sans-I/O protocol. What
goes out to subscribers was framed once for all of them and is written to the transport as it is: allowed because
every message is a single unfragmented frame, and only while the connection is open (RFC 6455, sections 5.4 and 5.5.1).
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast
from urllib.parse import parse_qs

from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN, Event

from apex_rtm import codes
from apex_rtm.clock import Clock
from apex_rtm.codes import Close
from apex_rtm.counts import Counts
from apex_rtm.edge.burst import Burst
from apex_rtm.edge.guard import Proxies, check_open_mode, check_origin
from apex_rtm.edge.handshake import HandshakeProtocol, refusal, split_target
from apex_rtm.errors import Refused, RtmError, Unavailable
from apex_rtm.limits import ConnectionQuota, TokenBucket
from apex_rtm.log import get_logger
from apex_rtm.peer import Peer
from apex_rtm.protocol import SUBPROTOCOL, reply_frame

_log = get_logger(__name__)
_MAX_FRAGMENTS: Final = 1024  # a message of endless empty fragments never reaches max_frame_bytes
_WRITE_HIGH_BYTES: Final = 65_536  # where nothing is written past the transport


class Conversation(Protocol):
    """What a connection carries: `Session`, or an echo for the conformance tests."""

    @property
    def is_busy(self) -> bool: ...
    def on_open(self, old_listener_channels: list[str] | None) -> None: ...
    def on_text(self, text: bytes) -> None: ...
    def on_binary(self, data: bytes) -> None: ...
    def on_heard(self) -> None: ...
    def on_pong(self, payload: bytes) -> None: ...
    def on_writable(self) -> None: ...
    def on_stalled(self) -> None: ...
    def on_closed(self) -> None: ...


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """The settings that a connection looks at; see `Settings` for their reasons."""

    max_frame_bytes: int
    outbox_max_bytes: int
    write_timeout_s: float
    close_timeout_s: float
    frame_rate: float
    frame_burst: float
    compresses: bool = False


@dataclass(slots=True)
class Gateway:
    """What all connections of a server share; `connection` is what uvicorn takes as its WebSocket protocol class."""

    converse: Callable[[Peer], Conversation]
    quota: ConnectionQuota
    proxies: Proxies
    limits: EdgeLimits
    clock: Clock
    is_open: bool
    allowed_origins: tuple[str, ...]
    reconnect_spread_s: float
    burst: Burst
    draining: bool = False
    serves_pages: bool = False
    counts: Counts = field(default_factory=Counts)

    def connection(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> Connection:
        """Make the protocol of one upgraded socket. Called by uvicorn with these keywords."""
        return Connection(self, server_state)


class Connection(asyncio.Protocol):
    """One upgraded socket. Implements `Peer` for its session."""

    __slots__ = (
        "_bucket", "_connections", "_conversation", "_counted", "_fragments", "_gateway", "_is_text", "_paused",
        "_plain_fd", "_protocol", "_timer", "_transport", "_unhandled", "deflates", "fd", "ip",
    )  # fmt: skip

    def __init__(self, gateway: Gateway, server_state: ServerState) -> None:
        limits = gateway.limits
        self.ip = ""
        self.fd = self._plain_fd = -1
        self.deflates = False
        self._gateway = gateway
        self._connections = cast("set[Any]", server_state.connections)
        self._protocol = HandshakeProtocol(limits.max_frame_bytes, compresses=limits.compresses)
        self._bucket = TokenBucket(limits.frame_rate, limits.frame_burst, gateway.clock.monotonic())
        self._conversation: Conversation | None = None
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._fragments: list[bytes] = []
        self._is_text = True
        self._unhandled: deque[bytes] | None = None  # mostly nothing, and an empty deque takes 600 bytes
        self._paused = False
        self._counted = False
        self._timer: asyncio.TimerHandle | None = None

    # ── asyncio.Protocol ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the socket from uvicorn's HTTP protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._plain_fd = _plain_descriptor(transport)
        # Whatever waits in the transport is told by pause_writing: behind it, nothing may be written directly. Under
        # TLS a limit of 0 would pause an empty buffer, and nobody would resume before the next write.
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES if self._plain_fd < 0 else 0)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone, whoever ended it."""
        self._connections.discard(self)
        self._gateway.counts.paused.discard(self)
        self._cancel_timer()
        # From here on the kernel may give the number to another connection; see `_plain_descriptor`.
        self._plain_fd = -1
        self._write_to(-1)
        if self._conversation is not None:
            self._conversation.on_closed()
            self._conversation = None
        if self._counted:
            self._gateway.quota.leave(self.ip)
            self._gateway.counts.closes[self._protocol.final_code] += 1
            self._counted = False
        self._protocol.let_go()

    def data_received(self, data: bytes) -> None:
        """Feed the protocol; one bad peer must never take the server down."""
        try:
            self._protocol.receive_data(data)
            if self._protocol.state is not OPEN:
                self._write_to(-1)
            self._flush()
            for event in self._protocol.events_received():
                self._on_event(event)
            self._flush()
            self._check_outbox()  # pongs wait for a slow reader too
        except Exception:  # noqa: BLE001 - whatever it is, it ends this connection only
            _log.exception("connection.failed", ip=self.ip)
            self._transport.abort()

    def eof_received(self) -> None:
        """The peer will not send any more."""
        self._write_to(-1)
        self._protocol.receive_eof()
        self._flush()

    def pause_writing(self) -> None:
        """The peer reads slower than it is written to: it gets `write_timeout_s` to go on."""
        self._paused = True
        self._gateway.counts.paused.add(self)
        self._write_to(-1)
        if self._protocol.state is OPEN:
            self._start_timer(self._gateway.limits.write_timeout_s, self._stall)

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._paused = False
        self._gateway.counts.paused.discard(self)
        if self._protocol.state is OPEN:
            self._cancel_timer()
            self._write_to(self._plain_fd)
        if self._conversation is not None:
            self._conversation.on_writable()
            self._handle_texts(self._conversation)

    def shutdown(self) -> None:
        """Close because the server stops. Called by uvicorn for every connection."""
        spread_ms = int(self._gateway.reconnect_spread_s * 1000)
        self.send(reply_frame("draining", reconnectWithinMs=spread_ms))
        self.close(codes.DRAINING)

    # ── Peer ──

    @property
    def writable(self) -> bool:
        """False between pause_writing and resume_writing."""
        return not self._paused

    @property
    def waiting_bytes(self) -> int:
        """What was written and the kernel has not taken yet."""
        return 0 if self._transport.is_closing() else self._transport.get_write_buffer_size()

    def send(self, frame: bytes) -> None:
        """Write one complete frame: to the socket, or behind what waits in the transport for a slower reader."""
        if self.fd < 0:
            self.queue(frame)
            return
        try:
            sent = os.write(self.fd, frame)
        except OSError:  # it takes nothing now, or is gone: the transport finds out which
            sent = 0
        if sent != len(frame):
            self.queue(frame[sent:])

    def queue(self, data: bytes) -> None:
        """Write through the transport, whose buffer is the bounded queue of this connection."""
        if self._protocol._state is not OPEN or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._paused:
            self._check_outbox()

    def take_up(self) -> None:
        """Go on with the frames that arrived while the conversation was busy."""
        if self._conversation is None:
            return
        try:
            self._handle_texts(self._conversation)
        except Exception:  # noqa: BLE001 - it ends this connection, not the work of whoever called
            _log.exception("connection.failed", ip=self.ip)
            self._transport.abort()

    def close(self, close: Close) -> None:
        """Send the close frame; cut the connection when the peer does not answer in time."""
        if self._protocol.state is OPEN:
            self._write_to(-1)
            self._protocol.send_close(close.code, close.reason)
            self._flush()
            self._start_timer(self._gateway.limits.close_timeout_s, self._transport.abort)

    # ── inwards ──

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Request):
            self._on_handshake(event)
        elif self._conversation is not None and self._protocol.state is OPEN:
            self._on_frame(cast(Frame, event), self._conversation)

    def _on_handshake(self, request: Request) -> None:
        headers = [(name.lower(), value) for name, value in request.headers.raw_items()]
        try:
            path, query = split_target(request.path)
            self._check_handshake(path, headers)
        except RtmError as refused:
            self._gateway.counts.refusals["websocket", refused.code] += 1
            self._protocol.send_response(refusal(refused))
            return
        response = self._protocol.accept(request)
        self._protocol.send_response(response)
        if response.status_code != 101:
            return
        self._flush()
        if self._plain_fd >= 0 and self._transport.get_write_buffer_size():
            self.pause_writing()  # this was told to the HTTP protocol, whose socket it was until now
        else:
            self._write_to(self._plain_fd)
        self.deflates = self._protocol.deflates
        self._conversation = self._gateway.converse(self)
        wants_rtm = self._protocol.subprotocol == SUBPROTOCOL
        self._conversation.on_open(None if wants_rtm else [c for c in parse_qs(query).get("channel", []) if c])
        # The library keeps both for as long as the connection lives: a third of what an idle one costs.
        request.headers.clear()
        response.headers.clear()

    def _check_handshake(self, path: str, headers: list[tuple[str, str]]) -> None:
        gateway = self._gateway
        if gateway.is_open:
            check_open_mode(headers)
        else:
            check_origin(headers, gateway.allowed_origins, serves_pages=gateway.serves_pages)
        if path != "/":
            raise Refused("not_found", "the WebSocket is at /")
        if gateway.draining:
            raise Unavailable("this server is about to stop")
        peer = self._transport.get_extra_info("peername")
        self.ip = gateway.proxies.client_ip(peer[0] if isinstance(peer, tuple) else "", headers)
        gateway.quota.enter(self.ip)
        gateway.counts.opened += 1
        self._counted = True

    def _on_frame(self, frame: Frame, conversation: Conversation) -> None:
        # Control frames count too: each ping costs an answer.
        if not self._bucket.take(self._gateway.clock.monotonic()):
            self._end(codes.RATE_LIMITED)
            return
        conversation.on_heard()
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._is_text = frame.opcode is Opcode.TEXT
        elif frame.opcode is not Opcode.CONT:
            if frame.opcode is Opcode.PONG:
                conversation.on_pong(bytes(frame.data))
            return
        if frame.fin and not self._fragments:
            self._on_message(bytes(frame.data), conversation)
            return
        self._fragments.append(bytes(frame.data))
        if len(self._fragments) > _MAX_FRAGMENTS:
            self._end(codes.TOO_MANY_FRAGMENTS)
        elif frame.fin:
            data = b"".join(self._fragments)
            self._fragments.clear()
            self._on_message(data, conversation)

    def _on_message(self, data: bytes, conversation: Conversation) -> None:
        if not self._is_text:
            conversation.on_binary(data)
            return
        try:
            data.decode()
        except UnicodeDecodeError:
            self._end(codes.NOT_UTF8)
            return
        if self._unhandled is None:
            self._unhandled = deque()
        self._unhandled.append(data)
        self._handle_texts(conversation)

    def _handle_texts(self, conversation: Conversation) -> None:
        """Hand over what has arrived, one by one, for as long as the conversation takes it; read no more until then."""
        while self._unhandled and not conversation.is_busy and self._protocol.state is OPEN:
            conversation.on_text(self._unhandled.popleft())
        if not self._unhandled:
            self._unhandled = None
        if self._transport.is_closing():
            return
        if conversation.is_busy:
            self._transport.pause_reading()
        elif not self._transport.is_reading():
            self._transport.resume_reading()

    # ── outwards ──

    def _write_to(self, number: int) -> None:
        """Change where bursts write to: the descriptor, or -1 for the transport. Nothing else sets `fd`."""
        self.fd = number
        self._gateway.burst.forget()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()
                # close() waits until everything is written, for ever if the peer does not read.
                self._start_timer(self._gateway.limits.close_timeout_s, self._transport.abort)

    def _check_outbox(self) -> None:
        if not self._paused or self._protocol.state is not OPEN:
            return
        if self._transport.get_write_buffer_size() > self._gateway.limits.outbox_max_bytes:
            self._stall()
            self._transport.pause_reading()  # whatever it says from now on is not worth an answer

    def _end(self, close: Close) -> None:
        if self._conversation is not None:
            self._conversation.on_closed()
        self.close(close)

    def _stall(self) -> None:
        if self._conversation is not None:
            self._conversation.on_stalled()

    def _start_timer(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(delay_s, callback)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _plain_descriptor(transport: asyncio.BaseTransport) -> int:
    """Give the descriptor of the transport's socket, or -1 where bytes must not go past the transport: under TLS.

    It is the socket's until `connection_lost` returns: both uvloop and asyncio close it after that, whoever ended the
    connection. Were it used for longer, what is written to it would reach the next connection that gets the number.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or transport.get_extra_info("ssl_object") is not None:
        return -1
    number: int = sock.fileno()
    return number
