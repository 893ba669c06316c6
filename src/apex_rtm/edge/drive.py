"""Work that mostly has nothing to wait for: it runs at once, and only what is left of it becomes a task."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any


def drive(work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Task[None] | None:
    """Run `work` until it waits for something, outside of any task; return a task of the rest, None when it has ended.

    asyncio makes a task first, which the event loop runs in its next turn. Until it waits, `work` may not use what
    needs the current task: `asyncio.timeout`, and `asyncio.wait_for` from Python 3.12 on. What it raises before that is
    raised here.
    """
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    return loop.create_task(_Rest(work, awaited))


class _Rest(Coroutine[Any, Any, None]):
    """Work that waits already. Its first step gives the task what it waits for, the others go on with the work."""

    def __init__(self, work: Coroutine[Any, Any, None], awaited: Any) -> None:
        self._work = work
        self._awaited = [awaited]

    def send(self, value: Any) -> Any:
        return self._awaited.pop() if self._awaited else self._work.send(value)

    def throw(self, *error: Any) -> Any:
        while self._awaited:  # cancelled before its first step: a task that had made it would cancel this as well
            awaited = self._awaited.pop()
            if awaited is not None:
                awaited.cancel()
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise NotImplementedError  # a task sends and throws, and nobody else has it
