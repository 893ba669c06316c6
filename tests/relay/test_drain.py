"""One batch: what becomes of its rows, by what the server and the database do."""

from __future__ import annotations

import pytest

from apex_rtm.relay.counts import Counts
from apex_rtm.relay.door import Verdict
from apex_rtm.relay.drain import Drain, DrainLimits, Look, Seen
from apex_rtm.relay.store import StoreFault
from tests.relay.fake_database import FakeDatabase, FakeStore
from tests.relay.fake_server import FAULTS, FakeDoor, FakeServer
from tests.support.clock import FakeClock


class Bench:
    """One relay without its loop, a database and a server."""

    def __init__(self, *, batch_size: int = 10, max_request_bytes: int = 100_000, max_attempts: int = 3) -> None:
        self.database = FakeDatabase()
        self.server = FakeServer()
        self.store = FakeStore(self.database, "relay")
        self.door = FakeDoor(self.server)
        self.counts = Counts()
        self.clock = FakeClock()
        limits = DrainLimits(batch_size, max_request_bytes, max_attempts)
        self.drain = Drain(self.store, self.door, limits, self.counts, self.clock)

    async def step(self) -> Look:
        if not self.store._is_open:
            await self.store.open()
        return await self.drain.step()

    def statuses(self) -> list[str]:
        return [self.database.rows[row_id].status for row_id in sorted(self.database.rows)]

    def delivered(self) -> list[str]:
        return [message_id for _, message_id, _, _ in self.server.delivered]


async def test_rows_are_sent_in_the_order_of_their_ids_and_marked_with_their_positions() -> None:
    bench = Bench()
    for channel in ("a", "b", "a"):
        bench.database.insert(channel)

    assert await bench.step() == Look(Seen.ROWS, None)
    assert bench.delivered() == ["m1", "m2", "m3"]
    epoch = bench.server.delivered[0][2]
    assert [bench.database.rows[n].position for n in (1, 2, 3)] == [(epoch, 1), (epoch, 1), (epoch, 2)]
    assert bench.database.rows[1].sent_by == "relay"
    assert bench.counts.snapshot(0.0) == {
        "sent": 3, "refused": 0, "parked": 0, "batches": 1, "publish_failures": 0, "database_failures": 0,
        "connections": 0, "is_connected": False, "is_woken": False, "lag_s": 0.0, "last_failure": None,
    }  # fmt: skip


async def test_an_idle_relay_takes_no_lock_and_writes_nothing() -> None:
    bench = Bench()

    assert await bench.step() == Look(Seen.NOTHING)
    assert bench.store.calls == ["open", "has_due"]


async def test_a_batch_is_bounded_and_the_rest_comes_next() -> None:
    bench = Bench(batch_size=2)
    for _ in range(3):
        bench.database.insert("a")

    await bench.step()
    assert bench.delivered() == ["m1", "m2"]
    await bench.step()
    assert bench.delivered() == ["m1", "m2", "m3"]


async def test_requests_are_cut_by_bytes_and_one_message_always_goes() -> None:
    bench = Bench(max_request_bytes=150)
    for payload in ('"a"', '"b"', f'"{"c" * 500}"', '"d"'):
        bench.database.insert("a", payload=payload)

    await bench.step()
    assert bench.door.requests == [2, 1, 1]
    assert bench.delivered() == ["m1", "m2", "m3", "m4"]


@pytest.mark.parametrize("fault", [*FAULTS, "down", "lost"])
async def test_a_server_that_takes_nothing_changes_no_row_and_makes_everybody_wait(fault: str) -> None:
    bench = Bench()
    bench.database.insert("a")
    bench.door.faults = [fault]

    assert await bench.step() == Look(Seen.FAILED, 2.0)
    assert bench.statuses() == ["PENDING"]
    assert bench.database.rows[1].attempts == 0
    assert bench.database.failures == 1
    assert bench.database.last_error
    assert bench.counts.publish_failures == 1
    assert await bench.step() == Look(Seen.TOO_EARLY, 2.0)

    bench.database.clock.advance(2)
    assert (await bench.step()).seen is Seen.ROWS
    assert bench.delivered() == ["m1"], "also where the first answer was lost: the id makes it a repeat"
    assert bench.database.failures == 0


async def test_waits_double_up_to_eight_seconds_so_that_a_server_that_is_back_is_found() -> None:
    bench = Bench()
    bench.database.insert("a")
    waits = []
    for _ in range(8):
        bench.door.faults = ["503"]
        look = await bench.step()
        waits.append(look.wait_s)
        bench.database.clock.advance(look.wait_s or 0)

    assert waits == [2, 4, 8, 8, 8, 8, 8, 8]


POISON = {
    "the server's rule for a message": {"event_name": "e" * 131},
    "too large a message": {"payload": f'"{"x" * 3000}"'},
    "a batch that cannot be read": {"payload": "[" * 20 + "]" * 20},
    "text that is not JSON": {"payload": '1},{"channel":"user:KING"'},
    "meta that is not JSON": {"meta": "{"},
    "meta that is no object": {"meta": "[1]"},
    "a payload that was not fetched": {"payload": None, "payload_characters": 5_000_000},
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
async def test_a_poison_row_is_parked_after_its_tries_and_stops_nobody(poison: dict[str, object]) -> None:
    bench = Bench(max_attempts=3)
    bench.database.insert("a")
    if poison.get("payload_characters"):
        bench.database.insert("a")
        stored = bench.database.rows[2]
        stored.row = type(stored.row)(2, "m2", "a", payload_characters=5_000_000)
    else:
        bench.database.insert("a", **poison)
    bench.database.insert("a")

    waits = []
    while bench.database.rows[2].status == "PENDING":
        look = await bench.step()
        waits.append(look.wait_s)
        bench.database.clock.advance(look.wait_s or 0)

    assert waits == [2, 4, None]
    assert bench.statuses() == ["SENT", "PARKED", "SENT"]
    assert bench.database.rows[2].attempts == 3
    assert bench.database.rows[2].error
    assert bench.delivered() == ["m1", "m3"]
    assert (bench.counts.sent, bench.counts.refused, bench.counts.parked) == (2, 3, 1)
    assert bench.database.failures == 0


async def test_a_batch_over_the_servers_limit_is_halved() -> None:
    bench = Bench()
    bench.server.publisher._max_batch_messages = 3
    for _ in range(10):
        bench.database.insert("a")

    await bench.step()
    assert bench.delivered() == [f"m{n}" for n in range(1, 11)], "halving keeps the order"
    assert bench.statuses() == ["SENT"] * 10


async def test_what_went_out_before_a_failure_keeps_its_marks() -> None:
    bench = Bench(max_request_bytes=1)
    for _ in range(3):
        bench.database.insert("a")

    async def publish(messages: list[bytes]) -> object:
        if len(bench.door.requests) == 2:
            bench.door.faults = ["503"]
        return await FakeDoor.publish(bench.door, messages)

    bench.door.publish = publish  # type: ignore[method-assign, assignment]
    assert (await bench.step()).seen is Seen.FAILED
    assert bench.statuses() == ["SENT", "SENT", "PENDING"]


async def test_a_message_that_is_not_taken_now_is_not_to_blame() -> None:
    bench = Bench()
    for _ in range(3):
        bench.database.insert("a")
    bench.door.faults = ["partly"]

    assert (await bench.step()).seen is Seen.FAILED
    assert bench.statuses() == ["SENT", "PENDING", "PENDING"]
    assert [bench.database.rows[n].attempts for n in (1, 2, 3)] == [0, 0, 0]
    assert bench.database.last_error == "unavailable: the disk is full"


async def test_answers_that_do_not_fit_the_messages_are_no_answers() -> None:
    bench = Bench()
    bench.database.insert("a")
    bench.database.insert("a")
    whole = bench.door.publish

    async def publish(messages: list[bytes]) -> list[Verdict]:
        return (await whole(messages))[:1]

    bench.door.publish = publish  # type: ignore[method-assign]
    assert (await bench.step()).seen is Seen.FAILED
    assert bench.statuses() == ["PENDING", "PENDING"]
    assert bench.database.last_error == "2 messages were sent and 1 answered"


async def test_an_outage_longer_than_the_server_remembers_repeats_nothing() -> None:
    bench = Bench()
    bench.database.insert("a")
    bench.store.faults["commit"] = "before"
    with pytest.raises(StoreFault):
        await bench.step()
    assert bench.statuses() == ["PENDING"]

    bench.server.clock.advance(3600)  # idempotency_window_s is 300
    await bench.step()
    assert bench.statuses() == ["SENT"]
    assert bench.delivered() == ["m1"]
    epoch = bench.server.delivered[0][2]
    assert bench.database.rows[1].position == (epoch, 1)


async def test_a_commit_that_was_done_but_not_confirmed_is_not_done_again() -> None:
    bench = Bench()
    bench.database.insert("a")
    bench.store.faults["commit"] = "after"
    with pytest.raises(StoreFault):
        await bench.step()

    assert bench.statuses() == ["SENT"]
    assert (await bench.step()).seen is Seen.NOTHING
    assert bench.delivered() == ["m1"]


async def test_the_turn_of_another_sender_is_respected() -> None:
    bench = Bench()
    bench.database.insert("a")
    other = FakeStore(bench.database, "job")
    await other.open()
    await other.take_turn()

    assert (await bench.step()).seen is Seen.ELSEWHERE
    await other.commit()
    assert (await bench.step()).seen is Seen.ROWS


async def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    bench = Bench()
    bench.door.faults = ["503"]
    bench.database.insert("a", event_name="e" * 131)
    await bench.step()
    bench.database.clock.advance(2)
    await bench.step()
    bench.database.insert("a")
    bench.database.clock.jump(-3600)
    bench.database.insert("a")

    await bench.step()
    assert bench.delivered() == ["m2", "m3"], "in order, although the second was written an hour 'later'"
    assert bench.database.rows[1].attempts == 2, "the refused row is not put off for an hour either"


async def test_lag_is_the_age_of_the_oldest_row_that_waits() -> None:
    bench = Bench()
    bench.database.insert("a")
    bench.database.clock.advance(7)
    bench.database.insert("a")
    bench.door.faults = ["503"]
    await bench.step()

    assert bench.counts.lag_s(bench.clock.monotonic()) == pytest.approx(7)
    bench.clock.advance(5)
    assert bench.counts.lag_s(bench.clock.monotonic()) == pytest.approx(12)
    bench.database.clock.advance(2)
    await bench.step()
    assert bench.counts.lag_s(bench.clock.monotonic()) == 0
    assert bench.counts.last_failure == "HTTP 503: unavailable: on command"
