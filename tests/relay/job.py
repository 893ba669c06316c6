"""The database's own sender as rtm_job.pkb has it, for the case that it runs beside a relay by mistake."""

from __future__ import annotations

from apex_rtm.errors import Refused
from apex_rtm.relay.door import NOT_NOW, BatchRejected, Door, NotNow, Taken
from apex_rtm.relay.row import Row, encode_message
from apex_rtm.relay.store import Refusal, Sent
from tests.relay.fake_database import FakeStore, Stored


class JobStore(FakeStore):
    """The job's cursor asks for `next_attempt_at <= systimestamp` and for nothing else."""

    def _is_due(self, stored: Stored) -> bool:
        return stored.status == "PENDING" and stored.next_attempt_at <= self._database.clock.now()


class Job:
    """`step` is drain_batch of rtm_job: no memory beyond the batch, a rollback when the session is lost."""

    def __init__(self, store: FakeStore, door: Door, *, batch_size: int, max_attempts: int) -> None:
        self._store = store
        self._door = door
        self._batch_size = batch_size
        self._max_attempts = max_attempts

    async def step(self) -> None:
        turn = await self._store.take_turn()
        if turn is None or turn.resume_in_s > 0:
            await self._store.commit()
            return
        rows = await self._store.fetch(self._batch_size)
        try:
            await self._send(rows)
            if rows:
                await self._store.note_success()
        except NotNow as error:
            await self._store.note_failure(turn.failures + 1, min(2.0 ** (turn.failures + 1), 64.0), str(error))
        await self._store.commit()

    async def _send(self, rows: list[Row]) -> None:
        if not rows:
            return
        try:
            verdicts = await self._door.publish([_encode(row) for row in rows])
        except BatchRejected as error:
            if len(rows) == 1:
                await self._refuse(rows[0], str(error))
                return
            middle = len(rows) // 2
            await self._send(rows[:middle])
            await self._send(rows[middle:])
            return
        for row, verdict in zip(rows, verdicts, strict=True):
            if isinstance(verdict, Taken):
                await self._store.mark_sent([Sent(row.id, *verdict)])
            elif verdict.code not in NOT_NOW:
                await self._refuse(row, verdict.message)

    async def _refuse(self, row: Row, error: str) -> None:
        attempts = row.attempts + 1
        wait_s = min(2.0**attempts, 64.0)
        await self._store.mark_refused([Refusal(row.id, attempts, attempts >= self._max_attempts, wait_s, error)])


def _encode(row: Row) -> bytes:
    try:
        return encode_message(row)
    except Refused:
        return b'{"channel":"a","payload":' + (row.payload or "null").encode() + b"}"
