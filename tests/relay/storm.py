"""Applications that write, subscribers that follow, and the reckoning at the end: what was committed, what arrived."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.chaos.follower import Findings, Follower
from tests.relay.harness import PostgresWork

CHANNELS = ["orders", "chat", "stock"]


@dataclass(slots=True)
class Written:
    """What the applications know: the moment of each commit, and how many transactions were rolled back."""

    committed_at: dict[str, float] = field(default_factory=dict)
    rolled_back: int = 0
    late: int = 0


@dataclass(slots=True)
class Reckoning:
    """What is in the outbox in the end, compared with what subscribers got."""

    committed: int
    missing: list[str]
    twice: list[str]
    foreign: list[str]
    disordered: list[str]
    wrong_position: list[str]
    statuses: Counter[str]

    def describe(self) -> str:
        return (
            f"{self.committed} rows committed and {dict(self.statuses)}: {len(self.missing)} not delivered, "
            f"{len(self.twice)} twice, {len(self.foreign)} never committed, {len(self.disordered)} out of order, "
            f"{len(self.wrong_position)} marked with a wrong position"
        )

    def require_exactly_once(self) -> None:
        faults = [self.missing, self.twice, self.foreign, self.disordered, self.wrong_position]
        assert not any(faults), f"{self.describe()} {[fault[:3] for fault in faults]}"
        assert set(self.statuses) == {"SENT"}, self.statuses


async def write(dsn: str, name: str, chance: random.Random, written: Written, stop: asyncio.Event) -> None:
    """Transactions of one to three rows; some are rolled back, some commit late, behind others with higher ids."""
    number = 0
    while not stop.is_set():
        try:
            async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=5) as connection:
                while not stop.is_set():
                    number = await _transaction(connection, name, number, chance, written)
                    await asyncio.sleep(chance.uniform(0.0, 0.02))
        except psycopg.Error:
            await asyncio.sleep(0.05)  # the database is being restarted


async def _transaction(
    connection: psycopg.AsyncConnection[Any], name: str, number: int, chance: random.Random, written: Written
) -> int:
    work, ids = PostgresWork(connection), []
    for _ in range(chance.randint(1, 3)):
        number += 1
        ids.append(f"{name}-{number}")
        await work.insert(chance.choice(CHANNELS), ids[-1], payload=str(number))
    if chance.random() < 0.15:
        written.late += 1
        await asyncio.sleep(chance.uniform(0.1, 0.5))
    if chance.random() < 0.2:
        await work.rollback()
        written.rolled_back += 1
    else:
        await work.commit()
        now = time.monotonic()
        written.committed_at |= dict.fromkeys(ids, now)
    return number


class Audience:
    """One follower of each channel, over every cut."""

    def __init__(self, port: int) -> None:
        self.findings = Findings()
        self.arrived_at: dict[str, float] = {}
        self._followers = [Follower(channel, port, self.findings) for channel in CHANNELS]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        for follower in self._followers:
            await follower.connect()
            await follower.subscribed.wait()
            self._tasks.append(asyncio.create_task(self._stay(follower)))

    async def _stay(self, follower: Follower) -> None:
        while True:
            client = follower.client
            assert client is not None
            await asyncio.wait([client.closed])
            try:
                await follower.connect()
            except OSError:
                await asyncio.sleep(0.05)  # the server is being restarted

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for follower in self._followers:
            follower.cut()

    def where(self) -> str:
        """How far each follower has come, and what it noticed."""
        places = {follower.channel: follower.position for follower in self._followers}
        findings = self.findings
        return f"{places} {findings.silent_gaps} {findings.duplicates} {findings.different} {findings.explicit_gaps}"

    def delivered(self) -> dict[str, list[tuple[tuple[str, int], str]]]:
        """By channel, in order: position and id."""
        found: dict[str, list[tuple[tuple[str, int], str]]] = {channel: [] for channel in CHANNELS}
        for (channel, epoch, offset), message_id in sorted(self.findings.ids.items()):
            found[channel].append(((epoch, offset), message_id))
        return found


async def rows_of(dsn: str) -> list[tuple[str, str, str, str | None, int | None]]:
    """Message id, channel, status and position of every row."""
    query = "select message_id, channel, status, publication_epoch, publication_offset::int from rtm_outbox order by id"
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        return await (await connection.execute(query)).fetchall()


async def settle(dsn: str, audience: Audience, within_s: float = 40) -> None:
    """Wait until nothing is pending and everything has arrived."""
    until = time.monotonic() + within_s
    while True:
        rows = await rows_of(dsn)
        sent = sum(status != "PENDING" for _, _, status, _, _ in rows)
        arrived = len(set(audience.findings.ids.values()))
        if sent == len(rows) and arrived >= sent:
            return
        if time.monotonic() > until:
            found = await reckon(dsn, audience)
            raise AssertionError(f"{found.describe()}; {found.missing[:9]} {audience.where()} {await drain_of(dsn)}")
        await asyncio.sleep(0.05)


async def drain_of(dsn: str) -> dict[str, Any]:
    """How sending goes, by the outbox."""
    query = "select failures, resume_at - clock_timestamp() as resume_in, last_error, drained_by from rtm_outbox_drain"
    async with await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row) as connection:
        return await (await connection.execute(query)).fetchone() or {}


async def reckon(dsn: str, audience: Audience) -> Reckoning:
    rows = await rows_of(dsn)
    committed = {message_id: (channel, epoch, offset) for message_id, channel, _, epoch, offset in rows}
    delivered = audience.delivered()
    counts = Counter(message_id for entries in delivered.values() for _, message_id in entries)
    places = {
        message_id: (channel, *position) for channel, entries in delivered.items() for position, message_id in entries
    }
    return Reckoning(
        committed=len(committed),
        missing=sorted(set(committed) - set(counts)),
        twice=sorted(message_id for message_id, count in counts.items() if count > 1),
        foreign=sorted(set(counts) - set(committed)),
        disordered=_disordered(delivered),
        wrong_position=[m for m, place in committed.items() if m in places and places[m] != place],
        statuses=Counter(status for _, _, status, _, _ in rows),
    )


def _disordered(delivered: dict[str, list[tuple[tuple[str, int], str]]]) -> list[str]:
    """What one writer put into one channel after something else, and arrived before it."""
    found, newest = [], dict[tuple[str, str], int]()
    for channel, entries in delivered.items():
        for _, message_id in entries:
            writer, _, number = message_id.partition("-")
            if int(number) < newest.get((channel, writer), 0):
                found.append(message_id)
            newest[channel, writer] = int(number)
    return found
