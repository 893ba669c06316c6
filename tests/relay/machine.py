"""Every interleaving that hypothesis thinks of: applications, relays, the job, faults, and what must hold throughout.

Relays and the job are coroutines that stop before each call: a rule lets one of them do some calls, or breaks a thing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from apex_rtm.relay.counts import Counts
from apex_rtm.relay.drain import Drain, DrainLimits
from apex_rtm.relay.store import StoreFault
from tests.relay.fake_database import FakeDatabase, FakeStore, Pause, Stored, Transaction
from tests.relay.fake_server import FAULTS, FakeDoor, FakeServer
from tests.relay.job import Job, JobStore

MAX_ATTEMPTS = 3
SERVER_FAULTS = [*FAULTS, "lost", "down", "partly"]
CALLS = ["open", "has_due", "take_turn", "fetch", "mark_sent", "mark_refused", "note_success", "note_failure", "commit"]
POISON: list[dict[str, Any]] = [
    {"event_name": "e" * 131},
    {"payload": f'"{"x" * 3000}"'},
    {"payload": "[" * 20 + "]" * 20},
    {"payload": "1,2"},
]
ROW = st.tuples(st.sampled_from("aab"), st.sampled_from([None, None, None, None, *POISON]))


@dataclass(slots=True)
class Sender:
    """One process that sends: its life goes on from call to call, until it is killed and starts anew."""

    store: FakeStore
    door: FakeDoor
    start: Callable[[], Coroutine[Any, Any, None]]
    life: Coroutine[Any, Any, None]

    def advance(self) -> Any:
        """Do the next call; return what will be next."""
        return self.life.send(None)

    def kill(self) -> None:
        self.life.close()
        self.store.lose()
        self.store.faults.clear()
        self.life = self.start()


class Outbox(RuleBasedStateMachine):
    """Each committed row is delivered once, each rolled back row never, order is that of commits."""

    relays: ClassVar[int] = 2
    has_job: ClassVar[bool] = False
    store_type: ClassVar[type[FakeStore]] = FakeStore
    door_type: ClassVar[type[FakeDoor]] = FakeDoor
    drain_type: ClassVar[type[Drain]] = Drain

    def __init__(self) -> None:
        super().__init__()
        self.database = FakeDatabase()
        self.server = FakeServer(max_batch_messages=3)
        self.open: list[Transaction] = []
        self.good: dict[str, Stored] = {}
        self.poison: dict[str, Stored] = {}
        self.before: dict[str, set[str]] = {}
        self.seen = 0
        self.delivered: dict[str, tuple[str, int]] = {}
        self.senders = [self._relay(f"relay{n}") for n in range(self.relays)]
        if self.has_job:
            self.senders.append(self._job())

    def _relay(self, name: str) -> Sender:
        store = self.store_type(self.database, name, Pause)
        door = self.door_type(self.server, Pause)

        async def live() -> None:
            limits = DrainLimits(batch_size=4, max_request_bytes=280, max_attempts=MAX_ATTEMPTS)
            drain = self.drain_type(store, door, limits, Counts(), self.server.clock)
            while True:
                try:
                    await store.open()
                    while True:
                        await drain.step()
                        await Pause("rest")
                except StoreFault:
                    await store.close()
                    await Pause("reconnect")

        return Sender(store, door, live, live())

    def _job(self) -> Sender:
        store = JobStore(self.database, "RTM_JOB", Pause)
        door = self.door_type(self.server, Pause)

        async def live() -> None:
            job = Job(store, door, batch_size=4, max_attempts=MAX_ATTEMPTS)
            while True:
                try:
                    await store.open()
                    while True:
                        await job.step()
                        await Pause("rest")
                except StoreFault:
                    await store.close()
                    await Pause("next run")

        return Sender(store, door, live, live())

    # ── applications ──

    @rule(rows=st.lists(ROW, min_size=1, max_size=6))
    def store(self, rows: list[tuple[str, dict[str, Any] | None]]) -> None:
        """Rows in transactions of their own, one after the other."""
        for row in rows:
            transaction = self.database.begin()
            self._insert(transaction, *row)
            self._commit(transaction)

    @rule(rows=st.lists(ROW, min_size=1, max_size=3))
    def begin(self, rows: list[tuple[str, dict[str, Any] | None]]) -> None:
        """Rows that take their ids now and are committed later, or never."""
        transaction = self.database.begin()
        for row in rows:
            self._insert(transaction, *row)
        self.open.append(transaction)

    @rule(row=ROW, calls=st.integers(8, 30), which=st.integers(0, 2))
    def begin_and_work(self, row: tuple[str, dict[str, Any] | None], calls: int, which: int) -> None:
        """A sender looks while a transaction is open."""
        self.begin([row])
        self.work(which, calls)

    def _insert(self, transaction: Transaction, channel: str, poison: dict[str, Any] | None) -> None:
        stored = transaction.insert(channel, **(poison or {}))
        stored.sent_by = "poison" if poison else None
        committed = self.good | self.poison
        self.before[stored.row.message_id] = {m for m, s in committed.items() if s.row.channel == channel}

    def _commit(self, transaction: Transaction) -> None:
        transaction.commit()
        for stored in transaction.inserted:
            kind = self.poison if stored.sent_by == "poison" else self.good
            kind[stored.row.message_id] = stored

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 9))
    def commit(self, which: int) -> None:
        self._commit(self.open.pop(which % len(self.open)))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 9))
    def roll_back(self, which: int) -> None:
        self.open.pop(which % len(self.open)).rollback()

    # ── senders ──

    @rule(which=st.integers(0, 2), calls=st.integers(1, 25))
    def work(self, which: int, calls: int) -> None:
        for _ in range(calls):
            self.senders[which % len(self.senders)].advance()
            self._look()

    # ── what goes wrong ──

    @rule(which=st.integers(0, 2), call=st.sampled_from(CALLS), when=st.sampled_from(["before", "after"]))
    def cut_the_database(self, which: int, call: str, when: str) -> None:
        self.senders[which % len(self.senders)].store.faults[call] = when

    @rule(
        which=st.integers(0, 2), fault=st.sampled_from(SERVER_FAULTS), times=st.integers(1, 4), calls=st.integers(0, 25)
    )
    def break_the_server(self, which: int, fault: str, times: int, calls: int) -> None:
        self.senders[which % len(self.senders)].door.faults = [fault] * times
        self.work(which, calls)

    @rule(which=st.integers(0, 2), silently=st.booleans())
    def kill(self, which: int, *, silently: bool) -> None:
        sender = self.senders[which % len(self.senders)]
        sender.store.dies_silently = silently
        sender.kill()
        sender.store.dies_silently = False

    @rule()
    def notice_the_dead(self) -> None:
        self.database.notice()

    @rule(seconds=st.sampled_from([0.5, 2, 10, 65]))
    def pass_time(self, seconds: float) -> None:
        # What is published and not marked is repeated within idempotency_window_s here; test_drain.py has the rest.
        self.database.clock.advance(seconds)
        self.server.clock.advance(0.5)

    @rule(seconds=st.sampled_from([-3600.0, -3600.0, -30.0, 3600.0]))
    def set_the_clock_of_the_database(self, seconds: float) -> None:
        # The job's query puts rows off that were written before the clock was set back.
        self.database.clock.jump(abs(seconds) if self.has_job else seconds)

    # ── what must hold ──

    def _look(self) -> None:
        for channel, message_id, epoch, offset in self.server.delivered[self.seen :]:
            assert message_id not in self.delivered, f"{message_id} was delivered twice"
            assert message_id in self.good, f"{message_id} was delivered and is not a good, committed row"
            assert self.good[message_id].row.channel == channel
            self.delivered[message_id] = (epoch, offset)
            late = {m for m in self.before[message_id] if m in self.good and m not in self.delivered}
            assert not late, f"{message_id} overtook {late}"
        self.seen = len(self.server.delivered)

    @invariant()
    def marks_tell_the_truth(self) -> None:
        for message_id, stored in self.good.items():
            assert stored.status != "PARKED", f"{message_id} is parked: {stored.error}"
            if stored.status == "SENT":
                assert stored.position == self.delivered.get(message_id), message_id
        for message_id, stored in self.poison.items():
            assert stored.status != "SENT", message_id

    def teardown(self) -> None:
        """Let everything work again: in the end all that was committed is sent, and nothing else."""
        try:
            self._settle()
        finally:
            for sender in self.senders:
                sender.life.close()

    def _settle(self) -> None:
        for transaction in self.open:
            transaction.rollback()
        for sender in self.senders:
            sender.store.faults.clear()
            sender.door.faults.clear()
        before, idle_rounds = -1, 0
        while idle_rounds < 12:  # more than the tries of a row, and far less than an hour that a clock was set back
            self.database.notice()
            for sender in self.senders:
                while sender.advance() not in ("rest", "reconnect", "next run"):
                    self._look()
            self.database.clock.advance(65)
            done = sum(stored.status != "PENDING" for stored in self.database.rows.values())
            before, idle_rounds = done, idle_rounds + 1 if done == before else 0
        self._look()
        self.marks_tell_the_truth()
        assert set(self.delivered) == set(self.good)
        assert all(stored.status == "SENT" for stored in self.good.values())
        assert all(stored.status == "PARKED" for stored in self.poison.values())
        assert all(stored.attempts == MAX_ATTEMPTS and stored.error for stored in self.poison.values())
