"""Publishing without ASGI: the order of pipelined requests, limits in size and time, and an answer whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import structlog

from apex_rtm.counts import Counts
from apex_rtm.edge.exchange import Doors, Headers
from apex_rtm.edge.intake import IntakeProtocol
from apex_rtm.errors import Refused
from tests.edge.test_intake import Door
from tests.support.socket import FakeTransport

PATH = b"/api/broadcast"


class Counter(Door):
    """An intake with a door that answers a body with its length, and waits where it is told to."""

    def __init__(self, **limits: Any) -> None:
        super().__init__()
        self.counts = Counts()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.bodies: list[bytes] = []
        self.admissions = 0
        self.fault: Exception | None = None
        values: dict[str, Any] = {"max_body_bytes": 100, "body_timeout_s": 60.0, **limits}
        self.intake.doors = Doors({PATH: self._publish}, self._admit, self.counts, **values)

    async def _publish(self, body: bytes) -> bytes:
        self.bodies.append(body)
        await self.may_answer.wait()
        if self.fault is not None:
            raise self.fault
        return b"%d" % len(body)

    def _admit(self, headers: Headers) -> None:
        self.admissions += 1
        if (b"x-api-key", b"wrong") in headers:
            raise Refused("unauthorized", "no")


def post(body: bytes = b"hello", path: bytes = PATH, *headers: bytes) -> bytes:
    lines = [b"POST %b HTTP/1.1" % path, b"Host: localhost", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def answers(transport: FakeTransport) -> list[tuple[int, Any, bool]]:
    """Status, body and whether the connection goes on, of every response so far."""
    found, rest = [], transport.written
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        size = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
        body, rest = rest[:size], rest[size:]
        found.append((int(lines[0].split()[1]), msgspec.json.decode(body), b"connection: close" not in lines))
    return found


async def until(is_done: Callable[[], bool]) -> None:
    """Let the event loop go round until something is written."""
    async with asyncio.timeout(20):
        while not is_done():  # noqa: ASYNC110 - a transport has no event for it
            await asyncio.sleep(0)


def knock(door: Door) -> tuple[IntakeProtocol, FakeTransport]:
    return door.knock()


async def test_a_publication_is_answered_and_the_connection_goes_on() -> None:
    door = Counter()
    protocol, transport = knock(door)

    for size in (0, 5, 100):
        protocol.data_received(post(b"x" * size))
        await door.finish()

    assert answers(transport) == [(200, 0, True), (200, 5, True), (200, 100, True)]
    assert door.counts.requests == {("/api/broadcast", "2xx"): 3}
    assert door.counts.request_times["/api/broadcast"].count == 3
    assert protocol in door.intake.waiting


async def test_a_body_may_come_in_parts_and_in_chunks() -> None:
    door = Counter(max_body_bytes=200_000)
    protocol, transport = knock(door)

    request = post(b"x" * 150_000)
    for start in range(0, len(request), 40_000):
        protocol.data_received(request[start : start + 40_000])
        assert transport.is_reading(), "uvicorn stops at 64 KiB until somebody takes them"
    await door.finish()
    head = b"POST /api/broadcast HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    for part in (head, b"3\r\nabc\r\n", b"2\r\nde\r\n", b"0\r\n\r\n"):
        protocol.data_received(part)
    await door.finish()

    assert answers(transport) == [(200, 150_000, True), (200, 5, True)]


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    door = Counter()
    protocol, transport = knock(door)
    door.may_answer.clear()

    protocol.data_received(
        post(b"a") + post(b"bb", b"/elsewhere") + post(b"ccc") + post(b"dddd", PATH, b"X-API-Key: wrong")
    )
    assert not transport.is_reading()
    door.may_answer.set()
    await until(lambda: len(answers(transport)) == 4)

    bodies = [body if isinstance(body, int) else body["code"] for _, body, _ in answers(transport)]
    assert bodies == [1, 2, 3, "unauthorized"]
    assert door.bodies == [b"a", b"ccc"]
    assert transport.is_reading()


async def test_thousands_in_one_packet_that_are_all_refused_are_no_recursion() -> None:
    door = Counter()
    protocol, transport = knock(door)
    door.may_answer.clear()

    protocol.data_received(post(b"a") + post(b"", PATH, b"X-API-Key: wrong") * 3000)
    door.may_answer.set()
    await until(lambda: transport.written.count(b"HTTP/1.1 401") == 3000)

    assert transport.written.count(b"HTTP/1.1 200") == 1
    assert door.counts.refusals["http", "unauthorized"] == 3000


@pytest.mark.parametrize(
    "request_",
    [
        post(b"x" * 101),
        b"POST /api/broadcast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n",
        b"POST /api/broadcast HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + b"x" * 255,
    ],
)
async def test_a_body_over_the_limit_is_refused_as_soon_as_it_is_known(request_: bytes) -> None:
    door = Counter()
    protocol, transport = knock(door)

    protocol.data_received(request_)

    ((status, body, _),) = answers(transport)
    assert (status, body["code"]) == (413, "too_large")
    assert door.bodies == []


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    door = Counter(body_timeout_s=0.01)
    protocol, transport = knock(door)

    protocol.data_received(post(b"hello")[:-1])
    await until(transport.is_closing)

    ((status, body, goes_on),) = answers(transport)
    assert (status, body["code"], goes_on) == (408, "timeout", False)


async def test_who_goes_away_leaves_nothing_behind() -> None:
    door = Counter(body_timeout_s=60.0)
    protocol, transport = knock(door)
    protocol.data_received(post(b"hello")[:-1])
    exchange = protocol.cycle

    transport.lose()

    assert exchange._timer is None  # type: ignore[attr-defined]
    assert (door.bodies, transport.written, door.intake.sockets) == ([], b"", 0)


async def test_who_goes_away_before_the_answer_has_published_all_the_same() -> None:
    door = Counter()
    protocol, transport = knock(door)
    door.may_answer.clear()
    protocol.data_received(post())
    await asyncio.sleep(0)

    transport.close()
    transport.lose()
    door.may_answer.set()
    await door.finish()

    assert (door.bodies, transport.written) == ([b"hello"], b"")


async def test_a_fault_is_an_answer_without_its_details() -> None:
    door = Counter()
    protocol, transport = knock(door)
    door.fault = ZeroDivisionError("secret")

    with structlog.testing.capture_logs() as logs:
        protocol.data_received(post())
        await door.finish()

    assert [(status, body["code"]) for status, body, _ in answers(transport)] == [(500, "internal")]
    assert b"secret" not in transport.written
    assert [entry["event"] for entry in logs] == ["request.failed"]


async def test_a_refusal_has_its_code() -> None:
    door = Counter()
    protocol, transport = knock(door)
    door.fault = Refused("channel_required", "channel is required")

    protocol.data_received(post())
    await door.finish()

    assert answers(transport) == [
        (400, {"ok": False, "code": "channel_required", "message": "channel is required"}, True)
    ]
    assert door.counts.refusals["http", "channel_required"] == 1


@pytest.mark.parametrize(
    "request_",
    [
        post(b"hello", b"/elsewhere"),
        post(b"hello", PATH + b"?a=b"),
        post(b"hello", PATH, b"Expect: 100-continue"),
        post(b"hello").replace(b"POST", b"PUT"),
        post(b"hello", PATH, b"Connection: close").replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
async def test_what_is_unusual_goes_the_usual_way(request_: bytes) -> None:
    door = Counter()
    protocol, transport = knock(door)

    protocol.data_received(request_)
    await door.finish()

    assert transport.written.endswith(b"\r\n\r\n5")
    assert door.bodies == []


async def test_an_idle_connection_keeps_no_body() -> None:
    door = Counter(max_body_bytes=200_000)
    protocol, transport = knock(door)

    protocol.data_received(post(b"x" * 150_000))
    await door.finish()

    assert answers(transport) == [(200, 150_000, True)]
    assert not protocol.cycle.body


async def test_who_does_not_read_the_answers_is_not_read_from() -> None:
    """Without a key, a stream of requests whose answers nobody reads filled the memory with them."""
    door = Counter()
    protocol, transport = knock(door)
    transport.is_slow = True
    refused = post(b"", PATH, b"X-API-Key: wrong")

    while transport.is_reading():
        protocol.data_received(refused * 10)
        assert len(transport.written) < 200_000
    transport.read_all()

    assert transport.is_reading()


async def test_the_last_answer_before_a_stop_says_so() -> None:
    door = Counter()
    protocol, transport = knock(door)
    door.may_answer.clear()
    protocol.data_received(post())

    protocol.shutdown()
    door.may_answer.set()
    await door.finish()

    assert answers(transport) == [(200, 5, False)]
    assert transport.is_closing()


@pytest.mark.parametrize("path", [PATH, b"/elsewhere"])
async def test_two_in_one_packet_when_the_server_stops_are_not_both_taken(path: bytes) -> None:
    """The second would never be answered, and its sender would publish it again elsewhere."""
    door = Counter()
    protocol, transport = knock(door)
    protocol.shutdown()

    protocol.data_received(post(b"a") + post(b"bb", path))

    assert not door.state.tasks
    assert answers(transport) == [(200, 1, False)]
    assert door.bodies == [b"a"]


async def test_many_in_one_packet_do_not_hold_the_event_loop_together() -> None:
    door = Counter()
    protocol, transport = knock(door)

    protocol.data_received(post() * 100)

    assert len(answers(transport)) == 1
    turns = 0
    while len(answers(transport)) < 100:
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 99


# ── heads that are known ──


async def test_a_head_is_parsed_and_admitted_once() -> None:
    door = Counter()
    protocol, transport = knock(door)
    other, other_transport = knock(door)

    for size in (5, 0, 100):
        protocol.data_received(post(b"x" * size))
    other.data_received(post(b"hello"))
    assert list(door.intake.waiting) == [protocol, other]
    other.data_received(post(b"hello", PATH, b"X-API-Key: right"))

    assert door.admissions == 2
    assert answers(transport) == [(200, 5, True), (200, 0, True), (200, 100, True)]
    assert answers(other_transport) == [(200, 5, True), (200, 5, True)]
    assert door.counts.requests == {("/api/broadcast", "2xx"): 5}
    assert list(door.intake.waiting) == [protocol, other]


async def test_an_answer_has_the_headers_of_its_time() -> None:
    door = Counter()
    protocol, transport = knock(door)

    for second in (b"1", b"1", b"2"):
        door.state.default_headers = [(b"date", second)]
        protocol.data_received(post())

    dates = [line for line in transport.written.split(b"\r\n") if line.startswith(b"date")]
    assert dates == [b"date: 1", b"date: 1", b"date: 2"]


async def test_who_is_refused_is_asked_again() -> None:
    door = Counter()
    protocol, transport = knock(door)
    protocol.data_received(post())

    for _ in range(3):
        protocol.data_received(post(b"hello", PATH, b"X-API-Key: wrong"))

    assert [status for status, _, _ in answers(transport)] == [200, 401, 401, 401]
    assert door.admissions == 4


@pytest.mark.parametrize(
    ("rest", "statuses"),
    [
        ([post(b"x" * 101)], [413]),
        ([post(b"hello")[:-1], b"o", post()], [200, 200]),
        ([post() + post(b"x"), post()], [200, 200, 200]),
        ([post()[:20], post()[20:] + post(), post()], [200, 200, 200]),
        ([b"\r\n" + post(), post()], [200, 200]),
        ([post(b"hello", PATH, b"Connection: close")] * 2, [200]),
        ([b"\0" + post()], [400]),
    ],
    ids=["too large", "in parts", "two at once", "torn", "empty lines", "the last", "no HTTP"],
)
async def test_beside_known_heads_all_goes_as_before(rest: list[bytes], statuses: list[int]) -> None:
    door = Counter()
    protocol, transport = knock(door)
    protocol.data_received(post())

    for data in rest:
        if not transport.is_closing():  # nothing is read then
            protocol.data_received(data)
            for _ in range(5):  # for what came together with another
                await asyncio.sleep(0)

    assert [status for status, _, _ in answers(transport)] == [200, *statuses]


async def test_a_head_that_closes_the_connection_closes_the_next_one_too() -> None:
    door = Counter()

    for _ in range(3):
        protocol, transport = knock(door)
        protocol.data_received(post(b"hello", PATH, b"Connection: close"))
        assert answers(transport) == [(200, 5, False)]


async def test_what_comes_after_the_end_is_not_taken() -> None:
    door = Counter()
    protocol, transport = knock(door)
    protocol.data_received(post())
    transport.close()

    protocol.data_received(post(b"late"))

    assert door.bodies == [b"hello"]


async def test_a_body_that_looks_like_a_request_is_a_body() -> None:
    """It is that of a request that was refused by its head, so it is read and thrown away."""
    door = Counter()
    protocol, transport = knock(door)
    protocol.data_received(post())
    head, body = post(post(), PATH, b"X-API-Key: wrong").split(b"\r\n\r\n", 1)

    protocol.data_received(head + b"\r\n\r\n")
    protocol.data_received(body)

    assert [status for status, _, _ in answers(transport)] == [200, 401]


async def test_what_was_no_request_is_not_known_for_the_one_before_it() -> None:
    door = Counter()
    protocol, _ = knock(door)
    protocol.data_received(post())
    protocol.data_received(b"\0" + post())

    again, transport = knock(door)
    again.data_received(b"\0" + post())

    assert [status for status, _, _ in answers(transport)] == [400]


async def test_a_known_head_waits_for_the_answers_before_it() -> None:
    door = Counter()
    protocol, transport = knock(door)
    protocol.data_received(post())
    door.may_answer.clear()

    protocol.data_received(post(b"x"))
    door.may_answer.set()
    for size in (2, 3):  # these have nothing to wait for
        protocol.data_received(post(b"x" * size))
    await until(lambda: len(answers(transport)) == 4)

    assert [body for _, body, _ in answers(transport)] == [5, 1, 2, 3]


async def test_a_known_head_when_the_server_stops_is_the_last() -> None:
    door = Counter()
    protocol, transport = knock(door)
    protocol.data_received(post())
    protocol.shutdown()

    protocol.data_received(post())

    assert answers(transport) == [(200, 5, True), (200, 5, False)]
    assert transport.is_closing()


async def test_a_request_of_another_kind_before_it_sets_no_timer_that_cuts_it() -> None:
    """uvicorn closes what was kept for too long, and takes that back only where it parses."""
    door = Counter()
    protocol, _ = knock(door)
    protocol.data_received(post())
    protocol.data_received(post(b"hello", b"/elsewhere"))
    await door.finish()
    assert protocol.timeout_keep_alive_task is not None
    door.may_answer.clear()

    protocol.data_received(post())

    assert protocol.timeout_keep_alive_task is None
    assert protocol not in door.intake.waiting
