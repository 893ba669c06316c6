"""Asking one server: whatever waits while an answer is under way goes out together with the next question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from apex_rtm.engine.redis.wire import ELSEWHERE, Command, Lost, Wire

_MOST_AT_ONCE: Final = 1000


@dataclass(slots=True, eq=False)
class _Asked:
    commands: Sequence[Command]
    done: asyncio.Future[list[Any]]


class Commands:
    """One connection that is made when it is needed and made anew when it is lost."""

    def __init__(self, connect: Callable[[], Awaitable[Wire]], timeout_s: float) -> None:
        self._connect = connect
        self._timeout_s = timeout_s
        self._wire: Wire | None = None
        self._waiting: list[_Asked] = []
        self._task: asyncio.Task[None] | None = None

    async def call(self, commands: Sequence[Command]) -> list[Any]:
        """Ask; the replies are in order, an error is the exception that it is. Raises Lost."""
        asked = _Asked(commands, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._task is None:
            self._task = asyncio.create_task(self._ask_all())
        return await asked.done

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                taken = self._take()
                try:
                    if self._wire is None:
                        self._wire = await self._connect()
                    replies = await self._wire.call([c for asked in taken for c in asked.commands], self._timeout_s)
                except Lost as lost:
                    self.drop()
                    for asked in taken:
                        _settle(asked.done, lost)
                    continue
                if any(isinstance(reply, ELSEWHERE) for reply in replies):
                    self.drop()  # another connection has the scripts again, and goes to whoever may write now
                at = 0
                for asked in taken:
                    _settle(asked.done, replies[at : at + len(asked.commands)])
                    at += len(asked.commands)
        finally:
            self._task = None

    def _take(self) -> list[_Asked]:
        count = size = 0
        for asked in self._waiting:
            size += len(asked.commands)
            if count and size > _MOST_AT_ONCE:
                break
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def drop(self) -> None:
        """Let the connection go; the next question makes another."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def close(self) -> None:
        """End; whoever still waits gets Lost."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for asked in self._waiting:
            _settle(asked.done, Lost("the connection was closed"))
        self._waiting = []
        self.drop()


def _settle(done: asyncio.Future[list[Any]], result: list[Any] | Lost) -> None:
    if done.done():  # whoever asked has gone
        return
    if isinstance(result, Lost):
        done.set_exception(result)
    else:
        done.set_result(result)
