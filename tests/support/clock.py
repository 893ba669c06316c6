"""A clock that moves when it is told to."""

from __future__ import annotations


class FakeClock:
    """Wall time and monotonic time advance together; `jump` moves wall time alone, as an administrator would."""

    def __init__(self, wall_s: float = 1_790_000_000.0) -> None:
        self._wall_s = wall_s
        self._monotonic_s = 1000.0

    def now(self) -> float:
        return self._wall_s

    def monotonic(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        self._wall_s += seconds
        self._monotonic_s += seconds

    def jump(self, seconds: float) -> None:
        self._wall_s += seconds
