"""Direct writes beside a transport: real sockets, readers that stand still, and numbers that the kernel gives again."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
from array import array
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvloop
from structlog.testing import capture_logs
from uvicorn.config import Config
from uvicorn.server import ServerState

from apex_rtm import codes
from apex_rtm.edge.burst import Burst, _Audience
from apex_rtm.edge.ws import Connection
from apex_rtm.engine.journal import Entry
from apex_rtm.message import Position
from apex_rtm.protocol import deflate, frame, unframe
from apex_rtm.session import Session
from tests.edge.test_ws import Edge
from tests.support.ring import require_ring
from tests.support.socket import FakePeer

PATIENCE_S = 5.0


class Wire:
    """One connection over a pair of real sockets; the test reads the other end."""

    def __init__(self, edge: Edge, connection: Connection, far: socket.socket) -> None:
        self.edge, self.connection, self.far = edge, connection, far
        self.session: Any = SimpleNamespace(peer=connection, send=connection.send)
        self.received = b""

    async def read(self, size: int) -> bytes:
        """So many bytes, and not one more unless it is waited for."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.received) < size:
                part = await asyncio.get_running_loop().sock_recv(self.far, size - len(self.received))
                assert part, "the connection ended"
                self.received += part
        data, self.received = self.received[:size], self.received[size:]
        return data

    def fill(self, burst: Burst) -> int:
        """Write until the kernel takes no more; return how many frames it were."""
        count = 0
        while self.connection.fd >= 0:
            burst.write([self.session], [entry(count, b"x" * 5000)])
            count += 1
        return count


def entry(number: int, payload: bytes = b"hello") -> Entry:
    return Entry(number, "a", Position("e", number), 0.0, frame(b"%d " % number + payload), str(number))


@contextlib.asynccontextmanager
async def wire(burst: Burst | None = None, **limits: Any) -> AsyncIterator[Wire]:
    edge = Edge(outbox_max_bytes=1 << 22, **limits)
    edge.gateway.burst = burst or edge.gateway.burst
    near, far = socket.socketpair()
    far.setblocking(False)
    connection = edge.gateway.connection(cast(Config, None), ServerState(), {})
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_accepted_socket(lambda: connection, near)
    opener = FakePeer(connection, edge.transport)
    request = opener.request()
    connection.data_received(request)
    made = Wire(edge, connection, far)
    async with asyncio.timeout(PATIENCE_S):
        while not made.received.endswith(b"\r\n\r\n"):
            made.received += await loop.sock_recv(far, 4096)
    made.received = b""
    try:
        yield made
    finally:
        transport.abort()
        far.close()
        await asyncio.sleep(0)


@pytest.fixture(params=["one call each", "io_uring"])
def burst(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Burst]:
    """Both ways of writing, the second for any number of connections."""
    made = Burst()
    if request.param == "io_uring":
        require_ring()
        monkeypatch.setattr("apex_rtm.edge.burst._WORTH_A_RING", 1)
        made.open()
    yield made
    made.close()


async def test_a_burst_is_one_write_of_all_frames(burst: Burst) -> None:
    async with wire() as one, wire() as two:
        frames = [entry(number) for number in range(3)]

        burst.write([one.session, two.session], frames)

        for each in (one, two):
            assert await each.read(sum(len(e.frame) for e in frames)) == b"".join(e.frame for e in frames)


async def test_what_the_kernel_does_not_take_comes_later_and_in_order(burst: Burst) -> None:
    async with wire() as slow:
        count = slow.fill(burst)
        burst.write([slow.session], [entry(count)])
        slow.connection.send(frame(b"reply"))
        assert slow.connection._transport.get_write_buffer_size() > 0

        expected = [entry(number, b"x" * 5000).frame for number in range(count)] + [entry(count).frame, frame(b"reply")]
        assert await slow.read(sum(map(len, expected))) == b"".join(expected)

        # Caught up: directly again, behind everything.
        assert slow.connection.fd >= 0
        burst.write([slow.session], [entry(7)])
        assert await slow.read(len(entry(7).frame)) == entry(7).frame


async def test_a_reader_that_stands_still_has_a_bounded_outbox(burst: Burst) -> None:
    async with wire() as slow:
        slow.fill(burst)
        for number in range(1000):
            burst.write([slow.session], [entry(number, b"x" * 10_000)])

        assert slow.edge.conversation.said("stalled") == [None]
        assert slow.connection._transport.get_write_buffer_size() < (1 << 22) + 50_000


async def test_nothing_is_written_after_the_close_frame(burst: Burst) -> None:
    async with wire() as each:
        each.connection.close(codes.DRAINING)
        burst.write([each.session], [entry(1)])
        each.connection.send(frame(b"late"))

        closing = frame(b"\x03\xf4draining")
        assert (await each.read(len(closing)))[2:] == unframe(closing)
        with pytest.raises(BlockingIOError):
            each.far.recv(1)


class Closing(asyncio.Protocol):
    """Notes whether the descriptor was still the connection's own when its end was told."""

    def __init__(self) -> None:
        self.inode = 0
        self.number = -1
        self.was_ours: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.number = transport.get_extra_info("socket").fileno()
        self.inode = os.fstat(self.number).st_ino

    def connection_lost(self, exc: Exception | None) -> None:
        self.was_ours.set_result(os.fstat(self.number).st_ino == self.inode)


def _reset(far: socket.socket) -> None:
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(
    "end",
    [
        lambda transport, _far: transport.abort(),
        lambda transport, _far: transport.close(),
        lambda _transport, far: far.close(),
        lambda _transport, far: _reset(far),
    ],
    ids=["abort", "close", "end of file", "reset"],
)
def test_a_descriptor_is_the_connections_own_until_its_end_is_told(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], end: Callable[[Any, socket.socket], None]
) -> None:
    """The kernel gives numbers again: one used for longer would send a frame to a stranger."""

    async def run() -> bool:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            far = socket.create_connection(listener.getsockname())
            near, _ = listener.accept()
        near.setblocking(False)
        transport, protocol = await loop.connect_accepted_socket(Closing, near)
        end(transport, far)
        async with asyncio.timeout(PATIENCE_S):
            was_ours = await protocol.was_ours
        far.close()
        return was_ours

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(run())


async def test_after_its_end_nothing_is_written_to_the_descriptor(burst: Burst) -> None:
    async with wire() as each:
        assert each.connection.fd == each.connection._transport.get_extra_info("socket").fileno()
        each.connection._transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert each.connection.fd == -1
        burst.write([each.session], [entry(1)])
        each.connection.send(frame(b"late"))


async def test_each_connection_of_a_burst_gets_its_own_end_of_it(burst: Burst) -> None:
    """Taken whole, taken in part, behind what waits already, and gone: in one list."""
    async with wire() as first, wire() as behind, wire() as gone, wire() as last:
        count = behind.fill(burst)
        gone.far.close()
        short, long = entry(count), entry(count + 1, b"x" * 1_000_000)

        burst.write([each.session for each in (first, behind, gone, last)], [short])
        burst.write([each.session for each in (first, behind, gone, last)], [long])

        assert first.connection.fd == -1  # the kernel did not take a megabyte at once
        for each in (first, last):
            assert await each.read(len(short.frame) + len(long.frame)) == short.frame + long.frame
            assert each.connection.fd >= 0
        before = b"".join(entry(number, b"x" * 5000).frame for number in range(count))
        assert await behind.read(len(before) + len(short.frame)) == before + short.frame
        assert await behind.read(len(long.frame)) == long.frame


async def test_who_has_ended_is_not_written_to_although_nobody_unsubscribed_it(burst: Burst) -> None:
    """The kernel gives its number to the next socket: a remembered one would send a frame to a stranger."""
    async with wire(burst) as stays, wire(burst) as ends:
        audience = [stays.session, ends.session]
        burst.write(audience, [entry(1)])
        number = ends.connection.fd
        near, far = socket.socketpair()
        ends.connection._transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        os.dup2(near.fileno(), number)
        far.setblocking(False)

        burst.write(audience, [entry(2)])

        expected = entry(1).frame + entry(2).frame
        assert await stays.read(len(expected)) == expected
        with pytest.raises(BlockingIOError):
            far.recv(1)
        os.close(number)
        near.close()
        far.close()


async def test_who_stands_still_is_left_out_from_that_moment_on(burst: Burst) -> None:
    """What is written then must not overtake what waits in its transport. Nothing else changes meanwhile."""
    async with wire(burst) as stays, wire(burst) as slow:
        audience = [stays.session, slow.session]
        count, expected = 0, b""
        while slow.connection.fd >= 0:
            burst.write(audience, [entry(count, b"x" * 5000)])
            expected += entry(count, b"x" * 5000).frame
            count += 1
        read = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                read += slow.far.recv(1 << 20)  # the kernel has room again, before the loop hears of it
        burst.write(audience, [entry(count)])
        expected += entry(count).frame

        assert read + await slow.read(len(expected) - len(read)) == expected
        assert slow.connection.fd >= 0
        burst.write(audience, [entry(count + 1)])
        assert await slow.read(len(entry(count + 1).frame)) == entry(count + 1).frame
        assert await stays.read(len(expected)) == expected


async def test_who_is_closed_is_left_out_from_that_moment_on(burst: Burst) -> None:
    """No frame may follow the close frame (RFC 6455, section 5.5.1)."""
    async with wire(burst) as stays, wire(burst) as closes:
        audience = [stays.session, closes.session]
        burst.write(audience, [entry(1)])
        assert await closes.read(len(entry(1).frame)) == entry(1).frame
        closes.connection.close(codes.DRAINING)
        burst.write(audience, [entry(2)])

        closing = frame(b"\x03\xf4draining")
        assert (await closes.read(len(closing)))[2:] == unframe(closing)
        with pytest.raises(BlockingIOError):
            closes.far.recv(1)
        assert await stays.read(2 * len(entry(1).frame)) == entry(1).frame + entry(2).frame


@pytest.mark.parametrize("last_words", [b"\x88\x80\0\0\0\0", b""], ids=["close frame", "end of file"])
async def test_who_says_goodbye_is_left_out_from_that_moment_on(burst: Burst, last_words: bytes) -> None:
    async with wire(burst) as stays, wire(burst) as leaves:
        audience = [stays.session, leaves.session]
        burst.write(audience, [entry(1)])
        assert await leaves.read(len(entry(1).frame)) == entry(1).frame
        if last_words:
            leaves.connection.data_received(last_words)
        else:
            leaves.connection.eof_received()
        burst.write(audience, [entry(2)])

        answer = b"\x88\x00" if last_words else b""
        assert await leaves.read(len(answer)) == answer
        with pytest.raises(BlockingIOError):
            leaves.far.recv(1)


async def test_the_same_audience_is_made_ready_once(monkeypatch: pytest.MonkeyPatch) -> None:
    require_ring()
    monkeypatch.setattr("apex_rtm.edge.burst._WORTH_A_RING", 1)
    made: list[int] = []

    class Counted(_Audience):
        def __init__(self, sessions: Sequence[Session]) -> None:
            made.append(len(sessions))
            super().__init__(sessions)

    monkeypatch.setattr("apex_rtm.edge.burst._Audience", Counted)
    burst = Burst()
    burst.open()
    async with wire() as one, wire() as two:
        audience, other = (one.session, two.session), (two.session,)
        for sessions in (audience, audience, other, other, audience):
            burst.write(sessions, [entry(1)])
        burst.forget()
        burst.write(audience, [entry(1)])
    burst.close()

    assert made == [2, 1, 2, 2]


class BreakingRing:
    """Does what a ring does that the kernel leaves in the middle: the first was sent, the others were not tried."""

    is_broken = False
    error_code = errno.ENOMEM
    closed = 0

    def send(self, descriptors: array[int], data: bytes) -> list[tuple[int, int]]:
        assert not self.is_broken
        os.write(descriptors[0], data)
        self.is_broken = True
        return [(place, 0) for place in range(1, len(descriptors))]

    def close(self) -> None:
        self.closed += 1


async def test_a_ring_that_breaks_loses_nothing_and_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apex_rtm.edge.burst._WORTH_A_RING", 1)
    burst = Burst()
    ring = burst._ring = cast(Any, BreakingRing())
    async with wire() as one, wire() as two, wire() as three:
        everybody = [one, two, three]
        with capture_logs() as logs:
            burst.write([each.session for each in everybody], [entry(1)])
            burst.write([each.session for each in everybody], [entry(2)])

        expected = entry(1).frame + entry(2).frame
        assert [await each.read(len(expected)) for each in everybody] == [expected] * 3
    assert ring.closed == 1
    assert [(log["event"], log["reason"]) for log in logs] == [("io_uring.failed", "Cannot allocate memory")]


def test_without_io_uring_bursts_are_written_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(errno.EPERM, "it is forbidden here")

    monkeypatch.setattr("apex_rtm.edge.burst.Ring", refuse)
    burst = Burst()
    with capture_logs() as logs:
        burst.open()

    assert burst._ring is None
    assert [(log["event"], log["reason"]) for log in logs] == [("io_uring.unavailable", "it is forbidden here")]
    burst.close()


async def test_a_publication_is_compressed_once_for_all_who_can_read_that(
    burst: Burst, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bytes] = []

    def note(framed: bytes) -> bytes:
        calls.append(framed)
        return deflate(framed)

    monkeypatch.setattr("apex_rtm.edge.burst.deflate", note)
    long, short = entry(1, b"long " * 200), entry(2)
    async with wire() as plain, wire() as first, wire() as second:
        first.connection.deflates = second.connection.deflates = True

        burst.write([first.session, plain.session], [long, short])
        burst.write([second.session], [long])

        assert await plain.read(len(long.frame) + len(short.frame)) == long.frame + short.frame
        small = deflate(long.frame)
        assert len(small) < len(long.frame) // 10
        assert await first.read(len(small) + len(short.frame)) == small + short.frame
        assert await second.read(len(small)) == small
    assert calls == [long.frame, short.frame]
