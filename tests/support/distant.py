"""An engine whose log lies elsewhere: what somebody wants to follow is ready when the test says so."""

from __future__ import annotations

from collections.abc import Callable

from apex_rtm.channels import Pattern
from apex_rtm.engine.memory import MemoryEngine
from apex_rtm.errors import Unavailable
from apex_rtm.message import Position

Then = Callable[[Unavailable | None], None]


class DistantEngine(MemoryEngine):
    """`waiting` holds the calls of `follow` that are not answered yet; `followed` counts the interest in each name."""

    is_shared = True

    def __init__(self, engine: MemoryEngine) -> None:
        super().__init__(engine.journal, engine._clock)
        self.waiting: list[tuple[str, Position | None, Then]] = []
        self.followed: dict[str, int] = {}
        self.is_near = False

    def follow(self, pattern: Pattern, since: Position | None, then: Then) -> bool:
        self.followed[pattern.text] = self.followed.get(pattern.text, 0) + 1
        if not self.is_near:
            self.waiting.append((pattern.text, since, then))
        return self.is_near

    def unfollow(self, pattern: Pattern) -> None:
        self.followed[pattern.text] -= 1
        assert self.followed[pattern.text] >= 0, "unfollow without follow"
        if not self.followed[pattern.text]:
            del self.followed[pattern.text]

    def answer(self, trouble: str | None = None) -> None:
        """Answer the longest waiting `follow`."""
        _, _, then = self.waiting.pop(0)
        then(None if trouble is None else Unavailable(trouble))
