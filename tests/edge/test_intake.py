"""HTTP connections that only wait: how long, how many, and how much of their headers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response
from uvicorn.config import Config
from uvicorn.server import ServerState

from apex_rtm.counts import Counts
from apex_rtm.edge import intake as intake_module
from apex_rtm.edge.exchange import Doors
from apex_rtm.edge.intake import Intake, IntakeProtocol
from tests.support.socket import FakeTransport

SOON = 0.01


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the length of the body."""
    body = await Request(scope, receive).body()
    await Response(str(len(body)))(scope, receive, send)


class Door:
    """An intake that makes connections."""

    def __init__(self, **limits: Any) -> None:
        values: dict[str, Any] = {
            "max_header_bytes": 1000, "max_headers": 20, "max_http_connections": 3, "header_timeout_s": 60.0, **limits
        }  # fmt: skip
        self.intake = Intake(**values)
        self.config = Config(echo, lifespan="off", log_config=None, timeout_keep_alive=60)
        self.config.load()
        self.state = ServerState()

    def knock(self) -> tuple[IntakeProtocol, FakeTransport]:
        protocol = self.intake.connection(self.config, self.state, {})
        transport = FakeTransport(protocol)
        protocol.connection_made(transport)
        return protocol, transport

    async def finish(self) -> None:
        """Wait until every request under way is answered."""
        for task in list(self.state.tasks):
            await task


def refusal(transport: FakeTransport) -> tuple[int, str]:
    head, _, body = transport.written.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert transport.is_closing()
    return int(head.split()[1]), msgspec.json.decode(body)["code"]


async def test_a_request_is_answered() -> None:
    door = Door()
    protocol, transport = door.knock()

    protocol.data_received(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
    await door.finish()

    assert transport.written.endswith(b"\r\n\r\n5")
    assert door.intake.sockets == 1
    transport.lose()
    assert (door.intake.sockets, door.intake.waiting) == (0, {})


async def test_who_does_not_finish_the_headers_in_time_is_cut() -> None:
    door = Door(header_timeout_s=SOON)
    protocol, transport = door.knock()

    protocol.data_received(b"GET / HTTP/1.1\r\nHost: loc")
    await transport.wait_aborted()

    transport.lose()
    assert door.intake.sockets == 0


async def test_the_next_request_on_a_kept_connection_has_its_time_too() -> None:
    door = Door(header_timeout_s=SOON)
    protocol, transport = door.knock()
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await door.finish()
    assert protocol in door.intake.waiting

    protocol.data_received(b"GET / HT")

    await transport.wait_aborted()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nX: " + b"x" * 2000, b"GET /" + b"x" * 2000,
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 22 + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 990 + b"\r\nYY: yyyyyyyyyy\r\n\r\n",
    ],
    ids=["endless header", "endless target", "too many", "too long together"],
)  # fmt: skip
async def test_headers_have_a_bound(data: bytes) -> None:
    protocol, transport = Door().knock()

    protocol.data_received(data)

    assert refusal(transport) == (431, "too_large")


async def test_a_body_is_not_counted_as_headers() -> None:
    door = Door()
    protocol, transport = door.knock()

    protocol.data_received(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n")
    for _ in range(5):
        protocol.data_received(b"x" * 1000)
    await door.finish()

    assert transport.written.endswith(b"\r\n\r\n5000")


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00", b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
async def test_what_is_not_http_is_refused_in_our_form(data: bytes) -> None:
    protocol, transport = Door().knock()

    protocol.data_received(data)

    assert refusal(transport) == (400, "bad_request")


async def test_where_there_is_no_room_the_one_that_waited_longest_goes() -> None:
    door = Door(max_http_connections=2)
    (busy, busy_transport), (_, oldest) = door.knock(), door.knock()
    busy.data_received(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")  # not waiting: under way

    _, newest = door.knock()
    assert oldest.aborted.is_set()
    _, _ = door.knock()

    assert newest.aborted.is_set()
    assert not busy_transport.aborted.is_set()
    busy.data_received(b"hello")
    await door.finish()


async def test_where_everybody_is_busy_the_new_one_goes() -> None:
    door = Door(max_http_connections=1)
    busy, busy_transport = door.knock()
    busy.data_received(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")

    _, transport = door.knock()

    assert transport.aborted.is_set()
    assert not busy_transport.aborted.is_set()
    busy.data_received(b"hello")
    await door.finish()


HANDSHAKE = (
    b"GET / HTTP/1.%d\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%b\r\n"
)


@pytest.mark.parametrize(
    "data",
    [
        HANDSHAKE % (0, b""),
        HANDSHAKE % (1, b"Content-Length: 5\r\n"),
        HANDSHAKE % (1, b"Transfer-Encoding: chunked\r\n"),
    ],
)
async def test_a_handshake_with_a_body_or_of_an_old_version_is_refused(data: bytes) -> None:
    """What follows would be read as frames by one side and as a body by the other."""
    protocol, transport = Door().knock()

    protocol.data_received(data)

    assert refusal(transport) == (400, "bad_request")


async def test_a_websocket_is_no_http_connection_any_more() -> None:
    door = Door()
    upgraded = []

    def make(**parts: Any) -> FakeWebSocket:
        upgraded.append(set(parts))
        return FakeWebSocket()

    door.config.ws_protocol_class = make  # type: ignore[assignment]
    protocol, transport = door.knock()

    protocol.data_received(HANDSHAKE % (1, b"Content-Length: 0\r\n"))

    assert upgraded == [{"config", "server_state", "app_state"}]
    assert (door.intake.sockets, door.intake.waiting) == (0, {})
    assert not transport.is_closing()


async def test_a_handshake_behind_an_unanswered_request_is_cut() -> None:
    """The answer would be written among the frames, and its timer would cut the WebSocket and never be forgotten."""
    door = Door()
    upgraded = []
    door.config.ws_protocol_class = lambda **parts: upgraded.append(parts)  # type: ignore[assignment]
    protocol, transport = door.knock()

    protocol.data_received(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + HANDSHAKE % (1, b""))

    assert transport.is_closing()
    transport.lose()
    await door.finish()
    assert (upgraded, transport.written) == ([], b"")
    assert (door.intake.sockets, door.intake.waiting) == (0, {})


async def test_a_body_behind_an_upgrade_that_is_not_offered_is_no_second_request() -> None:
    """The parser skips such a body: what a proxy passes on as one would be read as a request that it never saw."""
    door = Door()
    protocol, transport = door.knock()
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n"

    protocol.data_received(head % len(GET))
    if not transport.is_closing():
        protocol.data_received(GET)
    await door.finish()

    assert refusal(transport) == (400, "bad_request")
    assert b"200 OK" not in transport.written


# ── who asks faster than it is answered ──

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_no_more_is_read_while_requests_wait_for_their_answers() -> None:
    """An answer that let the next packet in would gather a thousand requests for each one that is answered."""
    door = Door()
    protocol, transport = door.knock()

    protocol.data_received(GET * 3)
    while protocol.pipeline:
        assert not transport.is_reading()
        await asyncio.sleep(0)
    await door.finish()

    assert transport.written.count(b"HTTP/1.1 200") == 3
    assert transport.is_reading()


# ── the end ──


async def knock_and_get(door: Door) -> tuple[IntakeProtocol, FakeTransport]:
    protocol, transport = door.knock()
    protocol.data_received(b"GET / HTTP/1.1\r\n\r\n")
    await door.finish()
    assert b"connection: close" not in transport.written
    return protocol, transport


async def test_a_request_on_its_way_when_the_server_stops_is_answered_as_the_last() -> None:
    """A proxy picks a kept connection at the very moment of the stop; a POST it may not send twice."""
    door = Door()
    protocol, transport = await knock_and_get(door)
    protocol.shutdown()
    assert not transport.is_closing()

    protocol.data_received(b"GET / HTTP/1.1\r\n\r\n")
    await door.finish()

    assert transport.written.count(b"HTTP/1.1 200") == 2
    assert transport.written.count(b"connection: close") == 1
    assert transport.is_closing()


async def test_a_handshake_when_the_server_stops_is_for_the_websocket_to_refuse() -> None:
    """It says that the server stops; 400 would tell a client to mend itself."""
    door = Door()
    upgraded = []

    def make(**parts: Any) -> FakeWebSocket:
        upgraded.append(set(parts))
        return FakeWebSocket()

    door.config.ws_protocol_class = make  # type: ignore[assignment]
    protocol, transport = door.knock()
    protocol.shutdown()

    protocol.data_received(HANDSHAKE % (1, b""))

    assert len(upgraded) == 1
    assert transport.written == b""


async def test_a_request_that_is_being_answered_is_the_last() -> None:
    door = Door()
    protocol, transport = door.knock()
    protocol.data_received(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{")
    protocol.shutdown()
    protocol.data_received(b"}")
    await door.finish()

    assert b"HTTP/1.1 200" in transport.written
    assert b"connection: close" in transport.written
    assert transport.is_closing()


@pytest.mark.parametrize("has_asked", [True, False])
async def test_who_sends_nothing_more_is_closed_soon(monkeypatch: pytest.MonkeyPatch, has_asked: bool) -> None:
    monkeypatch.setattr(intake_module, "_LINGER_S", SOON)
    door = Door()
    protocol, transport = await knock_and_get(door) if has_asked else door.knock()
    protocol.shutdown()
    assert not transport.is_closing()

    await asyncio.sleep(5 * SOON)

    assert transport.is_closing()


class Loop:
    """An event loop whose time is turned by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []
        self.set_timers = 0

    def time(self) -> float:
        return self.now

    def call_later(self, delay_s: float, work: Callable[[], None]) -> Timer:
        self.set_timers += 1
        self.timers.append(Timer(self.now + delay_s, work))
        return self.timers[-1]

    def advance(self, seconds: float) -> None:
        """Go on to the end of that time, from timer to timer."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.at <= end and not timer.is_cancelled]:
            first = min(due, key=lambda timer: timer.at)
            self.timers.remove(first)
            self.now = max(self.now, first.at)
            first.work()
        self.now = end


@dataclass(eq=False)
class Timer:
    """What can be cancelled."""

    at: float
    work: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


def knock_in_time(**limits: Any) -> tuple[Loop, IntakeProtocol, FakeTransport]:
    """A connection that has doors of its own, and time that is turned by hand."""

    async def publish(_body: bytes) -> bytes:
        return b"{}"

    door, loop = Door(**limits), Loop()
    door.intake.doors = Doors({b"/": publish}, lambda _headers: None, Counts(), 1000, 60.0)
    protocol = door.intake.connection(door.config, door.state, {})
    protocol.loop = loop  # type: ignore[assignment]  # as much of one as it takes
    transport = FakeTransport(protocol)
    protocol.connection_made(transport)
    return loop, protocol, transport


POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"


async def test_a_connection_that_is_used_again_and_again_sets_no_timer_for_each_request() -> None:
    loop, protocol, transport = knock_in_time()

    for _ in range(1000):
        protocol.data_received(POST)
        loop.advance(1)

    assert transport.written.count(b"HTTP/1.1 200") == 1000
    assert loop.set_timers < 30
    assert not transport.is_closing()


async def test_its_time_ends_so_long_after_the_last_answer() -> None:
    loop, protocol, transport = knock_in_time()
    for pause_s in (0, 10, 59):
        loop.advance(pause_s)
        protocol.data_received(POST)

    loop.advance(59.9)
    assert not transport.is_closing()
    loop.advance(0.2)

    assert transport.aborted.is_set()


async def test_a_shorter_time_than_the_one_before_it_ends_first() -> None:
    loop, protocol, transport = knock_in_time(header_timeout_s=5.0)
    protocol.data_received(POST)
    loop.advance(10)
    protocol.data_received(POST[:20])

    loop.advance(4)
    protocol.data_received(POST[20:30])
    assert not transport.is_closing()
    loop.advance(1.1)

    assert transport.aborted.is_set()


async def test_who_is_busy_has_no_end() -> None:
    loop, protocol, transport = knock_in_time(header_timeout_s=5.0)
    protocol.data_received(POST[:-1])

    loop.advance(50)

    assert not transport.is_closing()
    protocol.data_received(b"}")
    loop.advance(59)
    assert not transport.is_closing()
    loop.advance(2)
    assert transport.aborted.is_set()


async def test_a_connection_that_is_gone_leaves_no_timer() -> None:
    loop, protocol, transport = knock_in_time()
    protocol.data_received(POST)

    transport.lose()

    assert [timer for timer in loop.timers if not timer.is_cancelled] == []


class FakeWebSocket:
    """What uvicorn hands the socket to."""

    def connection_made(self, transport: Any) -> None: ...

    def data_received(self, data: bytes) -> None: ...
