"""The state machine of `machine.py`, on what there is and on planted faults, each of which it has to find."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from apex_rtm.relay.door import BatchRejected, NotNow, Rejected, Taken, Verdict
from apex_rtm.relay.drain import Drain, _Batch
from apex_rtm.relay.row import Row
from apex_rtm.relay.store import Refusal, Sent, Turn
from tests.relay.fake_database import FakeStore, Stored
from tests.relay.fake_server import FakeDoor
from tests.relay.machine import Outbox
from tests.support.property import PROPERTY

RUN = settings(PROPERTY, max_examples=20, stateful_step_count=40)
LONG_RUN = settings(PROPERTY, max_examples=40, stateful_step_count=60)
# A planted fault has to be found, not made small.
HUNT = settings(
    derandomize=True, deadline=None, max_examples=1000, stateful_step_count=60, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck), report_multiple_bugs=False, database=None, print_blob=False,
)  # fmt: skip


class OneRelay(Outbox):
    relays = 1


class RelayAndJob(Outbox):
    relays = 1
    has_job = True


class TwoRelaysAndJob(Outbox):
    has_job = True


@pytest.mark.parametrize("machine", [OneRelay, Outbox, RelayAndJob, TwoRelaysAndJob])
def test_every_committed_row_is_delivered_once_and_in_order(machine: type[Outbox]) -> None:
    run_state_machine_as_test(machine, settings=RUN)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("machine", [OneRelay, Outbox, RelayAndJob, TwoRelaysAndJob])
def test_the_same_for_longer(machine: type[Outbox]) -> None:
    run_state_machine_as_test(machine, settings=LONG_RUN)


# ── planted faults ──


class HighestId(FakeStore):
    """Remembers how far it has come, and misses the late commit of an early id."""

    highest = 0

    def _fetch(self, limit: int) -> list[Row]:
        rows = [row for row in super()._fetch(limit) if row.id > self.highest]
        self.highest = max([self.highest, *(row.id for row in rows)])
        return rows


class NoTurn(FakeStore):
    """Locks rows only: two senders send the later rows first."""

    def _take_turn(self) -> Turn | None:
        return Turn(0, 0.0)


class DirtyRead(FakeStore):
    """Sends what may be rolled back."""

    def _visible(self) -> dict[int, Stored]:
        return self._database.rows | self._database.uncommitted


class ClockOnly(FakeStore):
    """Believes every time that is written down."""

    def _is_due(self, stored: Stored) -> bool:
        return stored.status == "PENDING" and stored.next_attempt_at <= self._database.clock.now()


class Unmarked(FakeStore):
    """Forgets its marks at the commit."""

    def _mark_sent(self, sent: list[Sent]) -> None:
        pass


class NoIds(FakeDoor):
    """Sends without ids: a repeat is a second message."""

    def write(self, messages: list[bytes]) -> list[bytes]:
        return [json.dumps({k: v for k, v in json.loads(m).items() if k != "id"}).encode() for m in messages]


class ForeignIds(FakeDoor):
    """Gives every attempt an id of its own."""

    def write(self, messages: list[bytes]) -> list[bytes]:
        attempt = len(self.requests)
        return [m.replace(b'"id":"m', b'"id":"%d-m' % attempt) for m in messages]


class MarksBeforePublishing(Drain):
    """Commits first, so that a crash in between loses the batch."""

    async def _publish(self, rows: list[Row]) -> _Batch:
        await self._store.mark_sent([Sent(row.id, "e", 0) for row in rows])
        await self._store.commit()
        return await super()._publish(rows)


class BlamesTheMessages(Drain):
    """Takes a server that is down for the fault of the rows."""

    async def _publish(self, rows: list[Row]) -> _Batch:
        batch = await super()._publish(rows)
        if batch.failure is not None:
            done = {mark.row_id for mark in batch.sent} | {mark.row_id for mark in batch.refused}
            for row in rows:
                if row.id not in done:
                    self._refuse(row, "unavailable", batch.failure, batch)
            batch.failure = None
        return batch


class NeverHalves(Drain):
    """Refuses a whole request for one message in it."""

    async def _send(self, request: list[tuple[Row, bytes]], batch: _Batch) -> None:
        try:
            verdicts = await self._door.publish([message for _, message in request])
        except BatchRejected as rejected:
            for row, _ in request:
                self._refuse(row, "refused", str(rejected), batch)
            return
        self._judge(request, verdicts, batch)


class HalvesBackwards(Drain):
    """Sends the second half first."""

    async def _send(self, request: list[tuple[Row, bytes]], batch: _Batch) -> None:
        if len(request) > 3:
            await self._send(request[3:], batch)
            request = request[:3]
        await super()._send(request, batch)


class StopsAtPoison(Drain):
    """Lets one bad row hold up all the others."""

    async def _publish(self, rows: list[Row]) -> _Batch:
        try:
            return await super()._publish(rows)
        except NotNow as error:
            return _Batch(failure=str(error))

    def _refuse(self, row: Row, code: str, message: str, batch: _Batch) -> None:
        raise NotNow(f"{code}: {message}")


class NeverParks(Drain):
    """Tries for ever."""

    def _refuse(self, row: Row, code: str, message: str, batch: _Batch) -> None:
        batch.refused.append(Refusal(row.id, row.attempts + 1, is_parked=False, wait_s=2.0, error=message))


class BelievesEverything(Drain):
    """Marks as sent whatever was answered."""

    def _judge(self, part: list[tuple[Row, bytes]], verdicts: list[Verdict], batch: _Batch) -> None:
        super()._judge(part, [Taken("e", 1) if isinstance(v, Rejected) else v for v in verdicts], batch)


class MixesVerdicts(Drain):
    """Gives each row the answer of another one."""

    def _judge(self, part: list[tuple[Row, bytes]], verdicts: list[Verdict], batch: _Batch) -> None:
        super()._judge(part, verdicts[::-1], batch)


class WaitsForTheClock(Drain):
    """Believes a pause of an hour."""

    async def step(self) -> Any:
        turn = await self._store.take_turn()
        if turn is not None and turn.resume_in_s > 0:
            await self._store.commit()
            return None
        return await super().step()


STORES: list[type] = [HighestId, NoTurn, DirtyRead, ClockOnly, Unmarked]
DOORS: list[type] = [NoIds, ForeignIds]
DRAINS: list[type] = [
    MarksBeforePublishing, BlamesTheMessages, NeverHalves, HalvesBackwards, StopsAtPoison, NeverParks,
    BelievesEverything, MixesVerdicts, WaitsForTheClock,
]  # fmt: skip
PLANTED: dict[type, dict[str, type]] = {
    **{fault: {"store_type": fault} for fault in STORES},
    **{fault: {"door_type": fault} for fault in DOORS},
    **{fault: {"drain_type": fault} for fault in DRAINS},
}


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_found(fault: type) -> None:
    machine = type("Planted", (Outbox,), PLANTED[fault])

    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=HUNT)
