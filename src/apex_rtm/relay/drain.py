"""One batch: take the turn, fetch, publish, mark, commit. Knows neither a database nor a network, and no event loop.

What keeps each row from being delivered twice is its id, which the server remembers for `idempotency_window_s`; what
keeps it from being lost is that it stays PENDING until its mark is committed. So wherever a step breaks off, doing it
again is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NamedTuple

from apex_rtm.clock import Clock
from apex_rtm.errors import Refused
from apex_rtm.log import get_logger
from apex_rtm.relay.counts import Counts
from apex_rtm.relay.door import NOT_NOW, BatchRejected, Door, NotNow, Rejected, Taken, Verdict
from apex_rtm.relay.pace import LONGEST_SERVER_WAIT_S, LONGEST_WAIT_S, back_off_s
from apex_rtm.relay.row import Row, encode_message
from apex_rtm.relay.store import OutboxStore, Refusal, Sent

_log = get_logger(__name__)
# RTM_OUTBOX.ERROR has 4000 bytes, and a character can take six of them (CESU-8).
_MAX_ERROR_CHARACTERS: Final = 600
_MAX_REMEMBERED: Final = 10_000


class Seen(Enum):
    """What a look at the outbox came to."""

    ROWS = auto()
    NOTHING = auto()
    ELSEWHERE = auto()  # another sender has the turn
    TOO_EARLY = auto()  # the last try failed, the pause is not over
    FAILED = auto()


class Look(NamedTuple):
    """The outcome of one step. `wait_s` is how long the outbox says that there is nothing to do; None: it does not."""

    seen: Seen
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class DrainLimits:
    """Bounds of one batch. `max_request_bytes` is for several messages; a single one is always sent."""

    batch_size: int
    max_request_bytes: int
    max_attempts: int


@dataclass(slots=True)
class _Batch:
    """What became of the rows of one step."""

    sent: list[Sent] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    failure: str | None = None


class Drain:
    """Sends what is due, one transaction a step."""

    def __init__(self, store: OutboxStore, door: Door, limits: DrainLimits, counts: Counts, clock: Clock) -> None:
        self._store = store
        self._door = door
        self._limits = limits
        self._counts = counts
        self._clock = clock
        # Published, but not known to be marked: the commit failed. A database that is away for longer than the server
        # remembers ids would otherwise get these rows published twice.
        self._unmarked: dict[tuple[int, str, str], Taken] = {}

    async def step(self) -> Look:
        """Do one batch. Raises StoreFault; what was published until then is remembered for the next step."""
        if not await self._store.has_due():
            self._counts.waiting_since_s = None
            return Look(Seen.NOTHING)
        turn = await self._store.take_turn()
        if turn is None:
            self._counts.waiting_since_s = None  # whoever has the turn knows
            await self._store.commit()
            return Look(Seen.ELSEWHERE)
        # No pause is longer than LONGEST_WAIT_S. A longer one means that the database's clock was set back.
        if 0 < turn.resume_in_s <= LONGEST_WAIT_S:
            await self._store.commit()
            return Look(Seen.TOO_EARLY, turn.resume_in_s)
        rows = await self._store.fetch(self._limits.batch_size)
        self._note_lag(rows)
        if not rows:
            await self._store.commit()
            return Look(Seen.NOTHING)
        batch = await self._publish(rows)
        await self._store.mark_sent(batch.sent)
        await self._store.mark_refused(batch.refused)
        if batch.failure is None:
            wait_s = None
            await self._store.note_success()
        else:
            wait_s = back_off_s(turn.failures + 1, LONGEST_SERVER_WAIT_S)
            await self._store.note_failure(turn.failures + 1, wait_s, batch.failure)
        await self._store.commit()
        self._on_committed(rows, batch)
        if batch.failure is not None:
            return Look(Seen.FAILED, wait_s)
        again_s = (refusal.wait_s for refusal in batch.refused if not refusal.is_parked)
        return Look(Seen.ROWS, min(again_s, default=None))

    # ── publishing ──

    async def _publish(self, rows: list[Row]) -> _Batch:
        batch = _Batch()
        ready: list[tuple[Row, bytes]] = []
        for row in rows:
            known = self._unmarked.get(row.key)
            if known is not None:
                batch.sent.append(Sent(row.id, known.epoch, known.offset))
                continue
            try:
                ready.append((row, encode_message(row)))
            except Refused as refused:
                self._refuse(row, refused.code, refused.message, batch)
        try:
            for request in _requests(ready, self._limits.max_request_bytes):
                await self._send(request, batch)
        except NotNow as failure:
            # What went out before the failure keeps its marks.
            batch.failure = str(failure)[:_MAX_ERROR_CHARACTERS]
        return batch

    async def _send(self, request: list[tuple[Row, bytes]], batch: _Batch) -> None:
        """Publish one request. Refused as a whole, it is halved until the message at fault is alone. Raises NotNow."""
        parts = [request]
        while parts:
            part = parts.pop()
            try:
                verdicts = await self._door.publish([message for _, message in part])
            except BatchRejected as rejected:
                if len(part) == 1:
                    self._refuse(part[0][0], "refused", str(rejected), batch)
                else:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                continue
            if len(verdicts) != len(part):
                raise NotNow(f"{len(part)} messages were sent and {len(verdicts)} answered")
            self._judge(part, verdicts, batch)

    def _judge(self, part: list[tuple[Row, bytes]], verdicts: list[Verdict], batch: _Batch) -> None:
        not_now: Rejected | None = None
        for (row, _), verdict in zip(part, verdicts, strict=True):
            if isinstance(verdict, Taken):
                self._remember(row, verdict)
                batch.sent.append(Sent(row.id, verdict.epoch, verdict.offset))
            elif verdict.code in NOT_NOW:
                not_now = not_now or verdict
            else:
                self._refuse(row, verdict.code, verdict.message, batch)
        if not_now is not None:
            raise NotNow(f"{not_now.code}: {not_now.message}")

    def _refuse(self, row: Row, code: str, message: str, batch: _Batch) -> None:
        attempts = row.attempts + 1
        is_parked = attempts >= self._limits.max_attempts
        error = f"{code}: {message}"[:_MAX_ERROR_CHARACTERS]
        batch.refused.append(Refusal(row.id, attempts, is_parked, back_off_s(attempts), error))

    def _remember(self, row: Row, taken: Taken) -> None:
        self._unmarked[row.key] = taken
        while len(self._unmarked) > _MAX_REMEMBERED:
            del self._unmarked[next(iter(self._unmarked))]

    # ── counting ──

    def _note_lag(self, rows: list[Row]) -> None:
        oldest_s = max((row.age_s for row in rows), default=None)
        self._counts.waiting_since_s = None if oldest_s is None else self._clock.monotonic() - oldest_s

    def _on_committed(self, rows: list[Row], batch: _Batch) -> None:
        counts, by_id = self._counts, {row.id: row for row in rows}
        for sent in batch.sent:
            self._unmarked.pop(by_id[sent.row_id].key, None)
        counts.batches += 1
        counts.sent += len(batch.sent)
        counts.refused += len(batch.refused)
        for refusal in batch.refused:
            row = by_id[refusal.row_id]
            counts.parked += refusal.is_parked
            _log.warning(
                "row.parked" if refusal.is_parked else "row.refused",
                row_id=row.id, channel=row.channel[:200], attempts=refusal.attempts, error=refusal.error,
            )  # fmt: skip
        if batch.failure is None:
            counts.waiting_since_s = None
            return
        counts.publish_failures += 1
        counts.last_failure = batch.failure
        _log.warning("relay.not_published", error=batch.failure)


def _requests(ready: list[tuple[Row, bytes]], max_bytes: int) -> Iterator[list[tuple[Row, bytes]]]:
    """Cut what is ready into requests of at most `max_bytes`, in order."""
    request: list[tuple[Row, bytes]] = []
    size = 0
    for row, message in ready:
        if request and size + len(message) > max_bytes:
            yield request
            request, size = [], 0
        request.append((row, message))
        size += len(message) + 1
    if request:
        yield request
