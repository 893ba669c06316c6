"""uvicorn's HTTP/1.1 protocol with bounds: on headers, on slow senders, and on the number of sockets that only wait."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sized
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import CLOSE_HEADER, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from apex_rtm.edge.drive import drive
from apex_rtm.edge.exchange import Doors, Exchange
from apex_rtm.edge.heads import Heads

# After this time a kept connection that was not used is closed when the server stops. A proxy uses the busy ones of its
# pool again and again: in this time each of them has a request, whose answer says that it is the last.
_LINGER_S: Final = 1.0


@dataclass(slots=True)
class Intake:
    """What all HTTP connections share; `connection` is what uvicorn takes as its HTTP protocol class."""

    max_header_bytes: int
    max_headers: int
    max_http_connections: int
    header_timeout_s: float
    doors: Doors | None = None
    heads: Heads = field(default_factory=Heads)
    sockets: int = 0
    waiting: dict[IntakeProtocol, None] = field(default_factory=dict)
    _openings: dict[int, bytes] = field(default_factory=dict)
    _opens_with: list[tuple[bytes, bytes]] | None = None

    def connection(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None
    ) -> IntakeProtocol:
        """Make the protocol of one accepted socket. Called by uvicorn with these keywords."""
        return IntakeProtocol(self, config, server_state, app_state)

    def opening(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The lines that all JSON answers with this status have. `headers` go to everybody; uvicorn dates them anew."""
        if headers is not self._opens_with:
            self._opens_with, self._openings = headers, {}
        opening = self._openings.get(status)
        if opening is None:
            common = b"".join([b"%b: %b\r\n" % header for header in headers])
            opening = b"%b%bcontent-type: application/json\r\n" % (_STATUS_LINES[status], common)
            self._openings[status] = opening
        return opening


def _has_body(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)


_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}  # fmt: skip


class _HeadersTooLarge(Exception):
    pass


class _BodyNotRead(Exception):
    pass


class _Flow(FlowControl):
    """Reads no further while there are requests to be answered, or answers that the peer does not read.

    uvicorn reads on with each answer: a packet of a thousand requests for one of them, and memory without a bound.
    """

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline
        self._is_due = False

    def resume_reading(self) -> None:
        if self.write_paused:
            self._is_due = True
            self.pause_reading()
        elif not self._pipeline:  # the last of them comes here again
            super().resume_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._is_due and not self._transport.is_closing():
            self._is_due = False
            self.resume_reading()


class IntakeProtocol(HttpToolsProtocol):
    """One HTTP connection.

    It is busy from the end of a request's headers to the end of the response. At all other times it is `waiting`: it
    may be dropped for a newer one, and there is a time for it to end that no byte in between moves.
    """

    def __init__(self, intake: Intake, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state)
        self._intake = intake
        self._in_headers = True
        self._in_message = False
        self._has_driven = False
        self._unparsed_bytes = 0
        self._header_bytes = 0
        self._too_large = False
        self._counted = False
        self._unwritten_bytes = 0
        self._is_last = False
        self._wait_s = 0.0
        self._ends_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Make room if there is none: the socket that has kept us waiting longest goes first."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        intake = self._intake
        if intake.sockets >= intake.max_http_connections:
            oldest = next(iter(intake.waiting), self)
            oldest._stop_waiting()  # its end is heard of later; until then it must not be chosen again
            oldest.transport.abort()
        intake.sockets += 1
        self._counted = True
        self._wait(intake.header_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the socket."""
        self._stop_timer()
        self._uncount()
        super().connection_lost(exc)
        self.cycle = None  # type: ignore[assignment]  # it refers back

    def handle_websocket_upgrade(self) -> None:
        """From here on the socket is a WebSocket's, or closed with a refusal."""
        self._stop_timer()
        if self.parser.get_http_version() != "1.1" or _has_body(self.headers):
            self.send_400_response("a WebSocket handshake is HTTP/1.1 and has no body")
            return
        if self.cycle is not None and not self.cycle.response_complete:
            # Its answer would be written among the frames, and end with a timer that cuts the WebSocket.
            self.transport.close()
            return
        self._uncount()
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # it refers back

    def data_received(self, data: bytes) -> None:
        """Count what arrives and completes nothing: a header line, a trailer, a chunk's extension may have no end."""
        self._has_driven = False
        before = self.cycle
        is_between = not self._in_message and (before is None or before.response_complete)
        if is_between and self._take_known(data):
            return
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if is_between and self.cycle is not before and isinstance(self.cycle, Exchange):
            self._learn(self.cycle, data)
        if self._unparsed_bytes > self._intake.max_header_bytes and not self._too_large:
            self._too_large = True
            self.send_400_response("")

    def _take_known(self, data: bytes) -> bool:
        """Answer a request whose head was learned, without the parser. False: it has to be parsed."""
        doors = self._intake.doors
        if doors is None or self.transport.is_closing():
            return False
        known = self._intake.heads.find(data)
        if known is None or len(known[1]) > doors.max_body_bytes:
            return False
        self._unset_keepalive_if_required()  # uvicorn set it where the request before was not an exchange
        self._stop_waiting()
        self._in_headers = False
        exchange = Exchange(doors, known[0], (), self, keep_alive=not self._is_last)
        self.cycle = cast(RequestResponseCycle, exchange)
        exchange.run(known[1])
        return True

    def _learn(self, exchange: Exchange, data: bytes) -> None:
        if exchange.is_taken and exchange.keep_alive:
            self._intake.heads.learn(data, self.headers, self.url)

    def on_message_begin(self) -> None:
        """A request starts, the first one or the next on a kept connection."""
        super().on_message_begin()
        self._in_message = True
        self._header_bytes = 0
        if not self._in_headers:
            self._in_headers = True
            self._unparsed_bytes = 0
            self._wait(self._intake.header_timeout_s)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count headers as they are completed."""
        super().on_header(name, value)
        self._header_bytes += len(name) + len(value)
        intake = self._intake
        if len(self.headers) > intake.max_headers or self._header_bytes > intake.max_header_bytes:
            self._too_large = True
            raise _HeadersTooLarge

    def on_headers_complete(self) -> None:
        """The request is known: it waits no longer."""
        self._in_headers = False
        self._unparsed_bytes = 0
        self._stop_waiting()
        if self.transport.is_closing():
            return  # the request before it, in the same packet, was answered as the last
        if self.parser.should_upgrade() and not self._should_upgrade() and _has_body(self.headers):
            # The parser would skip the body, and take the next packet of it for a request that no proxy has seen.
            raise _BodyNotRead
        doors = self._intake.doors
        if doors is not None and self.url in doors.by_path and self._is_plain_post():
            self._open_exchange(doors)
        else:
            super().on_headers_complete()
        if self._is_last and self.cycle is not None:  # None where it is a handshake
            self._say_last()

    def _is_plain_post(self) -> bool:
        parser = self.parser
        return (
            parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and not self.expect_100_continue
            and not parser.should_upgrade()
        )

    def _open_exchange(self, doors: Doors) -> None:
        before = self.cycle
        keep_alive = self.parser.should_keep_alive() and not self._is_last
        exchange = Exchange(doors, self.url, self.headers, self, keep_alive=keep_alive)
        self.cycle = cast(RequestResponseCycle, exchange)
        if before is None or before.response_complete:
            exchange.start()
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if isinstance(cycle, Exchange):
            cycle.start()
        else:
            super()._start_asgi_task(cycle, app)

    # ── what an exchange asks for ──

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`; uvicorn waits for it before it stops."""
        # Of many requests in one packet, only the first: the others would hold the event loop for all of them together.
        task = self.loop.create_task(work) if self._has_driven else drive(work, self.loop)
        self._has_driven = True
        if task is not None:
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)

    def go_on_reading(self) -> None:
        """The body may be longer than uvicorn reads by itself."""
        self.flow.resume_reading()

    def answer(self, status: int, body: bytes, *, keep_alive: bool) -> None:
        """Write a JSON response, then go on with the next request."""
        if self.transport.is_closing():
            return
        state = self.server_state
        opening = self._intake.opening(status, state.default_headers)
        end = b"" if keep_alive else b"connection: close\r\n"
        self.transport.write(b"%bcontent-length: %d\r\n%b\r\n%b" % (opening, len(body), end, body))
        state.total_requests += 1
        if not keep_alive:
            self.transport.close()
            return
        self.flow.resume_reading()
        if self.pipeline:
            # Not at once: thousands of requests in one packet that are all refused would be a recursion of that depth.
            self.loop.call_soon(self._start_asgi_task, *self.pipeline.pop())
        elif not self._in_headers:
            self._wait(self.timeout_keep_alive)

    # ── the parser goes on ──

    def on_body(self, body: bytes) -> None:
        """The body goes on; its size is counted by whoever reads it."""
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here, trailers and all."""
        self._unparsed_bytes = 0
        self._in_message = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request. What is left of this one's body is read and thrown away in that time.

        Closing at once would reset the connection, and a publisher that is still sending would never read why.
        """
        super().on_response_complete()
        if self.cycle.response_complete and not self._in_headers and not self.transport.is_closing():
            self._wait(self.timeout_keep_alive)

    def shutdown(self) -> None:
        """The server stops: the request that is being answered, or one that comes at once, is the last one here.

        Closing an idle connection now would cut off a request that is already on its way, and a proxy may not send a
        POST twice on its own. Called by uvicorn for every connection.
        """
        self._is_last = True
        if self.cycle is not None and not self.cycle.response_complete:
            self._say_last()
        else:
            self.loop.call_later(_LINGER_S, self._end_linger)

    def _say_last(self) -> None:
        self.cycle.keep_alive = False
        if not isinstance(self.cycle, Exchange) and not self.cycle.response_started:
            # uvicorn repeats it in the answer.
            self.cycle.scope["headers"] = [*self.cycle.scope["headers"], CLOSE_HEADER]

    def _end_linger(self) -> None:
        if not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP in the same form as everything else."""
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if self._too_large else HTTPStatus.BAD_REQUEST
        message = "the request's headers are too large (max_header_bytes, max_headers)" if self._too_large else msg
        code = "too_large" if self._too_large else "bad_request"
        body = msgspec.json.encode({"ok": False, "code": code, "message": message})
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (status.value, status.phrase.encode(), len(body), body)
        )
        self.transport.close()

    def _wait(self, seconds: float) -> None:
        waiting = self._intake.waiting
        waiting.pop(self, None)
        waiting[self] = None
        self._unwritten_bytes = self.transport.get_write_buffer_size()
        self._wait_s = seconds
        self._ends_at = self.loop.time() + seconds
        # One that runs out too early is set anew then, so that a connection in use does not need two for each request.
        if self._timer is not None and self._timer_at > self._ends_at:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._set_timer(seconds)

    def _set_timer(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._on_time)
        self._timer_at = self.loop.time() + seconds

    def _on_time(self) -> None:
        self._timer = None
        if self not in self._intake.waiting:
            return
        left_s = self._ends_at - self.loop.time()
        if left_s > 0:
            self._set_timer(left_s)
        else:
            self._give_up()

    def _stop_waiting(self) -> None:
        self._intake.waiting.pop(self, None)

    def _stop_timer(self) -> None:
        self._stop_waiting()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _uncount(self) -> None:
        if self._counted:
            self._counted = False
            self._intake.sockets -= 1

    def _give_up(self) -> None:
        if 0 < self.transport.get_write_buffer_size() < self._unwritten_bytes:
            self._wait(self._wait_s)  # somebody still reads a long answer, if slowly
        else:
            self.transport.abort()
