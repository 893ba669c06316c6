"""An outbox in memory that does what the row format says, one step at a time, and breaks on command.

Every call of the store first hands control back (`Pause`), so that a test decides what happens in between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from apex_rtm.relay.pace import LONGEST_WAIT_S
from apex_rtm.relay.row import Row
from apex_rtm.relay.store import Refusal, Sent, StoreFault, Turn
from tests.support.clock import FakeClock


@dataclass(slots=True)
class Pause:
    """Await it to hand control to whoever drives the coroutine; `what` is what will be done next."""

    what: Any

    def __await__(self) -> Generator[Any, None, None]:
        yield self.what


async def no_pause(_what: Any) -> None:
    """For tests that need no interleaving."""


@dataclass(slots=True)
class Stored:
    """A row of RTM_OUTBOX with the columns that a sender writes."""

    row: Row
    created_at: float
    next_attempt_at: float
    status: str = "PENDING"
    attempts: int = 0
    error: str | None = None
    position: tuple[str, int] | None = None
    sent_by: str | None = None


class FakeDatabase:
    """What is committed, who has which lock, and the database's own clock."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.rows: dict[int, Stored] = {}
        self.uncommitted: dict[int, Stored] = {}
        self.turn: FakeStore | None = None
        self.row_locks: dict[int, FakeStore] = {}
        self.failures = 0
        self.resume_at = 0.0
        self.last_error: str | None = None
        self.zombies: list[FakeStore] = []
        self._sequence = 0

    def begin(self) -> Transaction:
        """A transaction of an application."""
        return Transaction(self)

    def insert(self, channel: str, **members: Any) -> Stored:
        """One row in a transaction of its own."""
        transaction = self.begin()
        stored = transaction.insert(channel, **members)
        transaction.commit()
        return stored

    def next_id(self) -> int:
        self._sequence += 1
        return self._sequence

    def release(self, store: FakeStore) -> None:
        """End a session's locks."""
        if self.turn is store:
            self.turn = None
        self.row_locks = {row_id: owner for row_id, owner in self.row_locks.items() if owner is not store}

    def notice(self) -> None:
        """Find out that sessions are dead; until then they keep their locks."""
        while self.zombies:
            self.release(self.zombies.pop())


@dataclass(slots=True)
class Transaction:
    """Inserts take their ids at once, as a sequence gives them; nobody sees the rows before the commit."""

    database: FakeDatabase
    inserted: list[Stored] = field(default_factory=list)

    def insert(self, channel: str, **members: Any) -> Stored:
        row_id = self.database.next_id()
        payload = members.pop("payload", str(row_id))
        row = Row(id=row_id, message_id=members.pop("message_id", f"m{row_id}"), channel=channel, payload=payload,
                  payload_characters=len(payload or ""), **members)  # fmt: skip
        now = self.database.clock.now()
        stored = Stored(row, created_at=now, next_attempt_at=now)
        self.inserted.append(stored)
        self.database.uncommitted[row_id] = stored
        return stored

    def commit(self) -> None:
        for stored in self.inserted:
            self.database.rows[stored.row.id] = stored
        self.rollback()

    def rollback(self) -> None:
        for stored in self.inserted:
            self.database.uncommitted.pop(stored.row.id, None)


class FakeStore:
    """See `OutboxStore`. `faults` maps a call to 'before' or 'after': the session is lost there, once."""

    def __init__(
        self, database: FakeDatabase, name: str, pause: Callable[[Any], Awaitable[None]] = no_pause,
    ) -> None:  # fmt: skip
        self.name = name
        self.faults: dict[str, str] = {}
        self.dies_silently = False
        self.is_woken = False
        self.max_payload_characters = 1_048_576
        self.calls: list[str] = []
        self._database = database
        self._pause = pause
        self._pending: list[Callable[[], None]] = []
        self._is_open = False

    # ── faults ──

    async def _do(self, call: str, effect: Callable[[], Any]) -> Any:
        await self._pause(call)
        self.calls.append(call)
        fault = self.faults.pop(call, None)
        if fault == "before":
            self.lose()
        if not self._is_open:
            raise StoreFault(f"connection lost before {call}")
        result = effect()
        if fault == "after":
            self.lose()
            raise StoreFault(f"connection lost after {call}")
        return result

    def lose(self) -> None:
        """End the session as a cut does: nothing of it is left but locks, where the database has not noticed."""
        if self._is_open:
            self._is_open = False
            self._pending.clear()
            if self.dies_silently:
                self._database.zombies.append(self)
            else:
                self._database.release(self)

    # ── the protocol ──

    async def open(self) -> None:
        await self._pause("open")
        self.calls.append("open")
        if self.faults.pop("open", None):
            raise StoreFault("no listener")
        # A new session: the locks of the one before, if the database keeps them, are not its own.
        if self in self._database.zombies:
            ghost = FakeStore(self._database, self.name)
            self._database.zombies = [ghost if zombie is self else zombie for zombie in self._database.zombies]
            if self._database.turn is self:
                self._database.turn = ghost
            locks = self._database.row_locks
            self._database.row_locks = {i: ghost if owner is self else owner for i, owner in locks.items()}
        self._is_open = True

    def _is_due(self, stored: Stored) -> bool:
        ahead_s = stored.next_attempt_at - self._database.clock.now()
        return stored.status == "PENDING" and (stored.attempts == 0 or ahead_s <= 0 or ahead_s > LONGEST_WAIT_S)

    async def has_due(self) -> bool:
        found: bool = await self._do("has_due", lambda: any(map(self._is_due, self._visible().values())))
        return found

    def _visible(self) -> dict[int, Stored]:
        return self._database.rows

    async def take_turn(self) -> Turn | None:
        turn: Turn | None = await self._do("take_turn", self._take_turn)
        return turn

    def _take_turn(self) -> Turn | None:
        if self._database.turn not in (None, self):
            return None
        self._database.turn = self
        return Turn(self._database.failures, self._database.resume_at - self._database.clock.now())

    async def fetch(self, limit: int) -> list[Row]:
        rows: list[Row] = await self._do("fetch", lambda: self._fetch(limit))
        return rows

    def _fetch(self, limit: int) -> list[Row]:
        found: list[Row] = []
        for row_id, stored in sorted(self._visible().items()):
            if len(found) == limit:
                break
            if self._is_due(stored) and self._database.row_locks.get(row_id, self) is self:
                self._database.row_locks[row_id] = self
                age_s = self._database.clock.now() - stored.created_at
                is_short = stored.row.payload_characters <= self.max_payload_characters
                payload = stored.row.payload if is_short else None
                found.append(replace(stored.row, attempts=stored.attempts, age_s=age_s, payload=payload))
        return found

    async def mark_sent(self, sent: Sequence[Sent]) -> None:
        await self._do("mark_sent", lambda: self._pending.append(lambda: self._mark_sent(list(sent))))

    def _mark_sent(self, sent: list[Sent]) -> None:
        for mark in sent:
            stored = self._database.rows.get(mark.row_id)
            if stored is None:
                continue
            stored.status, stored.error, stored.sent_by = "SENT", None, self.name
            stored.position = (mark.epoch, mark.offset)

    async def mark_refused(self, refusals: Sequence[Refusal]) -> None:
        await self._do("mark_refused", lambda: self._pending.append(lambda: self._mark_refused(list(refusals))))

    def _mark_refused(self, refusals: list[Refusal]) -> None:
        for refusal in refusals:
            stored = self._database.rows.get(refusal.row_id)
            if stored is None:
                continue
            stored.status = "PARKED" if refusal.is_parked else "PENDING"
            stored.attempts, stored.error = refusal.attempts, refusal.error
            stored.next_attempt_at = self._database.clock.now() + refusal.wait_s

    async def note_success(self) -> None:
        await self._do("note_success", lambda: self._pending.append(lambda: self._note(0, 0.0, None)))

    async def note_failure(self, failures: int, wait_s: float, error: str) -> None:
        await self._do("note_failure", lambda: self._pending.append(lambda: self._note(failures, wait_s, error)))

    def _note(self, failures: int, wait_s: float, error: str | None) -> None:
        self._database.failures = failures
        if error is not None:
            self._database.last_error = error
            self._database.resume_at = self._database.clock.now() + wait_s

    async def commit(self) -> None:
        await self._do("commit", self._commit)

    def _commit(self) -> None:
        for effect in self._pending:
            effect()
        self._pending.clear()
        self._database.release(self)

    async def wait_for_wake(self, timeout_s: float) -> None:
        await self._pause(("wait", timeout_s))

    async def close(self) -> None:
        self.lose()
