"""Things that break on command: a disk under SQLite, and an engine."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from apex_rtm.engine.alone import Alone
from apex_rtm.engine.base import EngineListener
from apex_rtm.engine.journal import Journal
from apex_rtm.errors import Unavailable
from apex_rtm.message import Message, Published
from apex_rtm.revocations import Revocation

PATIENCE_S = 10.0
NO_ROOM = sqlite3.OperationalError("database or disk is full")


class Disk:
    """What is under every SQLite connection that is opened while the disk is installed.

    Where it is not `durable`, nothing waits for the real one: what is shown does not depend on power loss.
    """

    def __init__(self, *, durable: bool = True) -> None:
        self._durable = durable
        self.statements: list[str] = []
        self._failures: dict[str, Exception] = {}
        self._changed = threading.Condition()
        self._is_stuck = False

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put this disk under the connections that the engine opens from now on. Locks are not waited for."""
        connect = sqlite3.connect

        def connect_here(path: Path, **options: Any) -> sqlite3.Connection:
            factory: Any = partial(_Connection, self)
            connection: sqlite3.Connection = connect(path, **options, factory=factory)
            connection.execute("pragma busy_timeout = 0")
            return connection

        monkeypatch.setattr("apex_rtm.engine.sqlite.sqlite3.connect", connect_here)

    def count(self, statement: str) -> int:
        """How often a statement that starts so was run."""
        return sum(text.startswith(statement) for text in self.statements)

    async def reached(self, statement: str, count: int) -> None:
        """Wait until a statement that starts so was run, or is held up, for the `count`th time."""

        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: self.count(statement) >= count, PATIENCE_S)

        assert await asyncio.to_thread(wait), f"{statement} was run {self.count(statement)} times, not {count}"

    @contextmanager
    def failing(self, statement: str, error: Exception = NO_ROOM) -> Iterator[None]:
        """Raise `error` from every statement that starts with `statement`."""
        self._failures[statement] = error
        try:
            yield
        finally:
            del self._failures[statement]

    @contextmanager
    def stuck(self) -> Iterator[None]:
        """Hold up every commit until the end of the block."""
        self._is_stuck = True
        try:
            yield
        finally:
            with self._changed:
                self._is_stuck = False
                self._changed.notify_all()

    def run(self, statement: str) -> str:
        """Note a statement, or fail it; return what to do instead."""
        with self._changed:
            self.statements.append(statement)
            self._changed.notify_all()
            if statement == "commit":
                assert self._changed.wait_for(lambda: not self._is_stuck, PATIENCE_S), "the disk stayed stuck"
        for start, error in self._failures.items():
            if statement.startswith(start):
                raise error
        return statement if self._durable else statement.replace("synchronous = full", "synchronous = off")


class _Connection(sqlite3.Connection):
    def __init__(self, disk: Disk, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._disk = disk

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        return super().execute(self._disk.run(sql), parameters)

    def executemany(self, sql: str, parameters: Any) -> sqlite3.Cursor:
        return super().executemany(self._disk.run(sql), parameters)


class FaultyEngine(Alone):
    """An engine that refuses as long as it has `trouble`, and hands everything else to the one behind it."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.trouble: str | None = None
        self.calls: list[Sequence[Message]] = []

    @property
    def journal(self) -> Journal:
        journal: Journal = self._engine.journal
        return journal

    async def start(self, listener: EngineListener) -> None:
        await self._engine.start(listener)

    async def publish(self, messages: Sequence[Message]) -> list[Published | Unavailable]:
        self.calls.append(messages)
        if self.trouble is not None:
            refusal = Unavailable(self.trouble)
            return [refusal for _ in messages]
        results: list[Published | Unavailable] = await self._engine.publish(messages)
        return results

    async def revoke(self, revocation: Revocation) -> None:
        if self.trouble is not None:
            raise Unavailable(self.trouble)
        await self._engine.revoke(revocation)

    def revocations(self) -> Sequence[Revocation]:
        return ()

    async def tidy(self) -> None:
        await self._engine.tidy()

    async def stop(self) -> None:
        await self._engine.stop()
