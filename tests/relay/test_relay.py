"""The relay's life: what it waits for, how it comes back, how it stops. Time passes by its waits alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import LogCapture

from apex_rtm.relay.drain import DrainLimits
from apex_rtm.relay.relay import Pace, Relay
from apex_rtm.relay.store import StoreFault
from tests.relay.fake_database import FakeDatabase, FakeStore
from tests.relay.fake_server import FakeDoor, FakeServer
from tests.support.clock import FakeClock

PACE = Pace(poll_least_s=0.1, poll_most_s=2.0, woken_poll_s=30.0, reconnect_most_s=30.0)


class Woken(FakeStore):
    """Waits by the clock of the test; `on_wait` is called with each wait, before time passes."""

    def __init__(self, database: FakeDatabase, clock: FakeClock) -> None:
        super().__init__(database, "relay")
        self.clock = clock
        self.waits: list[float] = []
        self.on_wait: Callable[[int], None] = lambda _count: None
        self.opened = 0
        self.closed = 0
        self.login_fault = False

    async def open(self) -> None:
        self.opened += 1
        if self.login_fault:
            raise StoreFault("ORA-01017: invalid username/password", is_login=True)
        await super().open()

    async def wait_for_wake(self, timeout_s: float) -> None:
        self.pass_time(timeout_s)
        await asyncio.sleep(0)

    async def close(self) -> None:
        self.closed += 1
        await super().close()

    def pass_time(self, seconds: float) -> None:
        self.waits.append(round(seconds, 3))
        self.clock.advance(seconds)
        self._database.clock.advance(seconds)
        self.on_wait(len(self.waits))


class Life:
    """A relay whose every wait is recorded in `store.waits` and takes no time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database = FakeDatabase()
        self.server = FakeServer()
        self.clock = FakeClock()
        self.store = Woken(self.database, self.clock)
        self.door = FakeDoor(self.server)
        self.relay = Relay(self.store, self.door, DrainLimits(10, 100_000, 3), PACE, self.clock)
        monkeypatch.setattr(self.relay._reconnecting, "_chance", lambda: 1.0)

        async def sleep(seconds: float) -> None:
            if not self.relay._stopping.is_set():
                self.store.pass_time(seconds)

        monkeypatch.setattr(self.relay, "_sleep", sleep)

    async def live(self, waits: int, on_wait: Callable[[int], None] | None = None) -> list[float]:
        """Run until so many waits have passed; `on_wait` may do something at each."""

        def at(count: int) -> None:
            if on_wait is not None:
                on_wait(count)
            if count == waits:
                self.relay.stop()

        self.store.on_wait = at
        async with asyncio.timeout(10):
            await self.relay.run()
        return self.store.waits


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> Life:
    return Life(monkeypatch)


async def test_it_looks_less_and_less_often_until_rows_come(life: Life) -> None:
    def at(count: int) -> None:
        if count == 6:
            life.database.insert("a")

    assert await life.live(8, at) == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 0.1, 0.2]
    assert life.relay.counts.sent == 1


async def test_where_the_database_wakes_it_polls_as_a_precaution_only(life: Life) -> None:
    life.store.is_woken = True
    assert await life.live(2) == [30.0, 30.0]
    assert life.relay.counts.is_woken is False, "it has closed its connection"


async def test_a_refused_row_is_tried_again_when_it_is_due_although_nobody_rings(life: Life) -> None:
    life.store.is_woken = True
    life.database.insert("a", payload="1,2")

    assert await life.live(4) == [2.0, 4.0, 0.1, 30.0], "0.1: the clocks of two machines may differ a little"
    assert life.database.rows[1].status == "PARKED"


async def test_all_that_is_there_is_sent_without_a_wait(life: Life) -> None:
    for _ in range(35):
        life.database.insert("a")

    await life.live(1)
    assert life.relay.counts.batches == 4
    assert life.relay.counts.sent == 35


async def test_after_a_failure_it_waits_as_long_as_the_outbox_says(life: Life) -> None:
    life.database.insert("a")
    life.door.faults = ["503", "down", "401"]

    assert await life.live(4) == [2.0, 4.0, 8.0, 0.1]
    assert life.relay.counts.sent == 1
    assert life.relay.counts.publish_failures == 3


async def test_while_another_sender_has_the_turn_it_looks_again_soon(life: Life) -> None:
    life.database.insert("a")
    other = FakeStore(life.database, "other")
    await other.open()
    await other.take_turn()

    def at(count: int) -> None:
        if count == 3:
            other.lose()

    assert await life.live(4, at) == [0.1, 0.1, 0.1, 0.1]
    assert life.relay.counts.sent == 1


async def test_a_lost_connection_is_made_again_with_growing_waits(life: Life) -> None:
    def at(count: int) -> None:
        life.store.faults = {"open": "before"} if count < 4 else {}

    life.store.faults = {"open": "before"}
    assert await life.live(5, at) == [1.0, 2.0, 4.0, 8.0, 0.1]
    assert life.relay.counts.database_failures == 4
    assert life.relay.counts.connections == 1
    assert life.store.closed == life.store.opened + 1, "once after each connection and once at the end"


async def test_a_connection_that_worked_begins_the_waits_anew(life: Life) -> None:
    def at(count: int) -> None:
        life.store.faults = {2: {"open": "before"}, 4: {"has_due": "before"}}.get(count, {})

    life.store.faults = {"open": "before"}
    assert await life.live(6, at) == [1.0, 0.1, 0.2, 0.4, 1.0, 0.8], "1.0 again, and not 2.0"


async def test_a_refused_login_is_not_repeated_at_the_usual_pace(life: Life) -> None:
    life.store.login_fault = True
    assert await life.live(3) == [30.0, 30.0, 30.0]
    assert life.relay.counts.last_failure == "ORA-01017: invalid username/password"


async def test_a_fault_that_nobody_thought_of_does_not_end_it(life: Life, quiet: LogCapture) -> None:
    life.database.insert("a")
    original = life.store._fetch

    def fetch(limit: int) -> list[object]:
        life.store._fetch = original  # type: ignore[method-assign]
        raise ZeroDivisionError("a bug")

    life.store._fetch = fetch  # type: ignore[method-assign, assignment]
    await life.live(2)
    assert life.relay.counts.sent == 1
    assert life.relay.counts.last_failure == "ZeroDivisionError: a bug"
    assert [entry["event"] for entry in quiet.entries].count("relay.failed") == 1


async def test_stopping_finishes_the_batch_and_closes_everything(life: Life) -> None:
    life.database.insert("a")
    inner = life.door.publish

    async def publish(messages: list[bytes]) -> object:
        life.relay.stop()
        await asyncio.sleep(0)
        return await inner(messages)

    life.door.publish = publish  # type: ignore[method-assign, assignment]
    async with asyncio.timeout(10):
        await life.relay.run()
    assert life.database.rows[1].status == "SENT"
    assert life.database.turn is None
    assert life.store.closed


async def test_stopping_ends_a_wait_at_once() -> None:
    """With real waits: an hour of them must not hold up a stop."""
    store = FakeStore(FakeDatabase(), "relay")
    waiting = asyncio.Event()

    async def wait_for_wake(timeout_s: float) -> None:
        waiting.set()
        await asyncio.sleep(timeout_s + 3600)

    store.wait_for_wake = wait_for_wake  # type: ignore[method-assign]
    relay = Relay(store, FakeDoor(FakeServer()), DrainLimits(10, 1000, 3), PACE, FakeClock())
    running = asyncio.create_task(relay.run())
    await waiting.wait()
    relay.stop()
    async with asyncio.timeout(5):
        await running


async def test_a_fault_while_waiting_is_a_fault_of_the_database(life: Life) -> None:
    async def wait_for_wake(timeout_s: float) -> None:
        life.store.pass_time(timeout_s)
        raise StoreFault("session killed")

    life.store.wait_for_wake = wait_for_wake  # type: ignore[method-assign]
    assert await life.live(3) == [0.1, 1.0, 0.2]
    assert life.relay.counts.last_failure == "session killed"
