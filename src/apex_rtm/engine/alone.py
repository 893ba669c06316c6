"""What an engine says that has the log for itself: everything is here, and there is nobody to ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from apex_rtm.channels import Pattern
from apex_rtm.engine.base import Answers
from apex_rtm.errors import Unavailable
from apex_rtm.message import Position


class Alone:
    """A part of `Engine` for one node."""

    is_shared = False

    def follow(self, pattern: Pattern, since: Position | None, then: Callable[[Unavailable | None], None]) -> bool:
        """All is here already."""
        return True

    def unfollow(self, pattern: Pattern) -> None:
        """The journal holds every channel."""

    async def ask_others(self, question: bytes) -> Answers:
        """There are none."""
        return Answers([], 0)

    def tell_attendance(self, channel: str, connections: int, users: Mapping[str, int]) -> None:
        """Nobody else wants to know."""
