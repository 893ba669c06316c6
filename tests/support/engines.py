"""Engines of both kinds over one data directory: started, stopped, and ended as a power cut would."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from apex_rtm.channels import parse_pattern
from apex_rtm.engine.base import Engine
from apex_rtm.engine.journal import Entry, Journal
from apex_rtm.engine.memory import MemoryEngine
from apex_rtm.engine.redis.engine import RedisEngine
from apex_rtm.engine.redis.layout import Layout
from apex_rtm.engine.sqlite import SqliteEngine
from apex_rtm.errors import Unavailable
from apex_rtm.message import Message, Position, Published
from apex_rtm.redis_url import parse_target
from apex_rtm.revocations import Revocation
from tests.support.clock import FakeClock
from tests.support.core import make_journal, make_message
from tests.support.redis import RedisProcess

Kind = Literal["memory", "sqlite", "redis"]
REVOCATION_KEEP_S = 1000.0


class Listener:
    """Keeps what an engine delivers, and checks that it is in the journal by then."""

    def __init__(self, journal: Journal) -> None:
        self.entries: list[Entry] = []
        self.lost: list[str | None] = []
        self.unfollowed: list[str] = []
        self._journal = journal

    def on_published(self, entries: Sequence[Entry]) -> None:
        assert entries[-1].seq == self._journal.seq, "delivered before it was in the journal"
        self.entries += entries

    def on_question(self, question: bytes) -> bytes:
        raise AssertionError(question)

    def on_revoked(self, revocation: Revocation) -> None:
        raise AssertionError(revocation)

    def on_attendance(self, channel: str, node: str, connections: int, users: Mapping[str, int]) -> None:
        raise AssertionError(channel)

    def on_node_gone(self, node: str) -> None:
        raise AssertionError(node)

    def on_unfollowed(self, channel: str) -> None:
        self.unfollowed.append(channel)

    def on_lost(self, channel: str | None) -> None:
        self.lost.append(channel)

    @property
    def places(self) -> list[tuple[str, int]]:
        return [(entry.channel, entry.position.offset) for entry in self.entries]


class Engines:
    """Makes engines; at most one of them uses the data directory at a time."""

    def __init__(self, kind: Kind, directory: Path) -> None:
        self.kind = kind
        self.directory = directory
        self.clock = FakeClock()
        self.running: list[Engine] = []
        self.redis: RedisProcess | None = None
        self.listener: Listener

    def make(self, *, max_waiting: int = 1000, idempotency_window_s: float = 300, **journal: Any) -> Engine:
        log = make_journal(idempotency_window_s=idempotency_window_s, **journal)
        if self.kind == "memory":
            return MemoryEngine(log, self.clock)
        if self.kind == "redis":
            return self._make_redis(log, idempotency_window_s, max_waiting)
        return SqliteEngine(
            self.directory, log, log._retention, self.clock, idempotency_window_s=idempotency_window_s,
            revocation_keep_s=REVOCATION_KEEP_S, max_waiting=max_waiting,
        )  # fmt: skip

    def _make_redis(self, log: Journal, idempotency_window_s: float, max_waiting: int) -> Engine:
        if self.redis is None:
            self.redis = RedisProcess(self.directory).start()
        return RedisEngine(
            parse_target(self.redis.url), Layout("rtm", 8), log, log._retention, self.clock,
            channel_ttl_s=log._channel_ttl_s, idempotency_window_s=idempotency_window_s,
            revocation_keep_s=REVOCATION_KEEP_S, max_waiting=max_waiting, timeout_s=5, durable=False,
        )  # fmt: skip

    async def start(self, **options: Any) -> Engine:
        """A new engine over what the last one left. One that several nodes share follows what the tests publish to."""
        engine = self.make(**options)
        self.listener = Listener(engine.journal)
        await engine.start(self.listener)
        self.running.append(engine)
        if engine.is_shared:
            for name in ("a", "b", *(f"c{n}" for n in range(7)), "c", "*"):
                await follow(engine, name)
        return engine

    async def stop(self) -> None:
        """Stop what runs, in an orderly way."""
        while self.running:
            await self.running.pop().stop()

    async def close(self) -> None:
        """Stop everything, the store too."""
        await self.stop()
        if self.redis is not None:
            self.redis.kill()

    async def crash(self) -> None:
        """End what runs without another statement: only what was committed is left."""
        while self.running:
            engine = self.running.pop()
            if isinstance(engine, SqliteEngine):
                assert engine._writer is None
                await engine._in_thread(engine._close)
                engine._thread.shutdown()


async def follow(engine: Engine, name: str, since: Position | None = None) -> None:
    """Follow until the journal is ready; raises Unavailable."""
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def then(trouble: Unavailable | None) -> None:
        if trouble is None:
            ready.set_result(None)
        else:
            ready.set_exception(trouble)

    if not engine.follow(parse_pattern(name), since, then):
        async with asyncio.timeout(10):
            await ready


async def publish(engine: Engine, *messages: str | Message) -> list[Published]:
    """Publish messages, or one empty message for each name; fails where one is refused."""
    results = await engine.publish([make_message(m) if isinstance(m, str) else m for m in messages])
    published = [result for result in results if isinstance(result, Published)]
    assert len(published) == len(messages), results
    return published


async def tidy(engine: Engine) -> None:
    """Tidy until every channel was looked at."""
    for _ in range(3):
        await engine.tidy()


def kept(journal: Journal, channel: str) -> list[int]:
    """Offsets that a channel's log holds."""
    log = journal.channels.get(channel)
    return [entry.position.offset for entry in log.entries] if log else []


def places(entries: Sequence[Entry] | None) -> list[tuple[str, int]] | None:
    """Publications as (channel, offset)."""
    return None if entries is None else [(entry.channel, entry.position.offset) for entry in entries]


def at(journal: Journal, offset: int) -> Position:
    """A position in the journal."""
    return Position(journal.epoch, offset)
