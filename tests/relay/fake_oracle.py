"""A connection of python-oracledb as far as the relay uses it: notes what it is told, and breaks on command."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import oracledb

from apex_rtm.database.login import Login


class FakeCursor:
    def __init__(self, connection: FakeConnection) -> None:
        self.prefetchrows = 2
        self.arraysize = 100
        self.outputtypehandler: Any = None
        self._connection = connection

    async def execute(self, statement: str, values: dict[str, Any] | None = None) -> None:
        self._connection.note(statement, values)
        self._connection.fetch_sizes.append((self.prefetchrows, self.arraysize))
        self._connection.handler = self.outputtypehandler

    async def fetchmany(self, size: int) -> list[Any]:
        self._connection.fetch_sizes.append((size, size))
        rows: list[Any] = self._connection.answer("fetchmany")
        return rows[:size]

    def var(self, kind: Any, arraysize: int) -> tuple[Any, int]:
        return kind, arraysize

    def close(self) -> None:
        self._connection.cursors_closed += 1


class FakeQueue:
    def __init__(self, name: str, rings: asyncio.Queue[bytes | Exception | None]) -> None:
        self.name = name
        self.deqoptions = type("Options", (), {})()
        self.waits: list[int] = []
        self._rings = rings

    async def deqone(self) -> bytes | None:
        self.waits.append(self.deqoptions.wait)
        ring = await self._rings.get()
        if isinstance(ring, Exception):
            raise ring
        return ring

    async def deqmany(self, _most: int) -> list[bytes]:
        assert self.deqoptions.wait == oracledb.DEQ_NO_WAIT
        found = []
        while not self._rings.empty():
            ring = self._rings.get_nowait()
            assert isinstance(ring, bytes)
            found.append(ring)
        return found


class FakeConnection:
    """`answers` gives the rows of a statement by a word in it; an exception in it is raised."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.statements: list[tuple[str, Any]] = []
        self.fetch_sizes: list[tuple[int, int]] = []
        self.handler: Any = None
        self.cursors_closed = 0
        self.call_timeout = 0
        self.is_closed = False
        self.commits = 0
        self.rings: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.queues: list[FakeQueue] = []

    def note(self, statement: str, values: Any) -> None:
        names = set(re.findall(r":(\w+)", re.sub(r"'[^']*'", "", statement)))
        for one in values if isinstance(values, list) else [values or {}]:
            assert set(one) == names, f"{statement} is given {sorted(one)}"
        self.statements.append((statement, values))

    def answer(self, word: str) -> Any:
        answer = self.answers.get(word)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def cursor(self) -> FakeCursor:
        return FakeCursor(self)

    async def fetchone(self, statement: str, values: Any = None) -> Any:
        self.note(statement, values)
        word = next((word for word in self.answers if word in statement), "nothing")
        return self.answer(word)

    async def execute(self, statement: str, values: Any = None) -> None:
        self.note(statement, values)
        self.answer("execute")

    async def executemany(self, statement: str, values: Any) -> None:
        self.note(statement, values)
        self.answer("executemany")

    async def commit(self) -> None:
        self.answer("commit")
        self.commits += 1

    def queue(self, name: str) -> FakeQueue:
        self.queues.append(FakeQueue(name, self.rings))
        return self.queues[-1]

    async def close(self) -> None:
        self.is_closed = True
        self.answer("close")


class Connector:
    """Stands in for `connect_async`: hands out connections or raises what it is given, in order."""

    def __init__(self, *outcomes: FakeConnection | Exception) -> None:
        self.outcomes = list(outcomes)
        self.passwords: list[str] = []
        self.on_connect: Callable[[], None] = lambda: None

    async def __call__(self, login: Login, _program: str) -> FakeConnection:
        self.passwords.append(login.read_password())
        self.on_connect()
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome
