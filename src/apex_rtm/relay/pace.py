"""How long to wait: between looks at an empty outbox, after a failure, and before the next connection."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

LONGEST_WAIT_S: Final = 64.0
"""No failure holds a row or a sender up for longer; the job in the database keeps the same bound (rtm_job)."""
LONGEST_SERVER_WAIT_S: Final = 8.0
"""How long after its return a server is found at the latest. To ask costs one transaction and one connection."""


def back_off_s(failures: int, longest_s: float = LONGEST_WAIT_S) -> float:
    """Seconds after the n-th failure in a row: 2, 4, 8 and so on."""
    return min(2.0 ** min(failures, 10), longest_s)


class Polling:
    """Looks often while messages come, seldom while none do: the wait doubles from `least_s` to `most_s`."""

    def __init__(self, least_s: float, most_s: float) -> None:
        self._least_s = least_s
        self._most_s = most_s
        self._next_s = least_s

    def on_rows(self) -> None:
        """Messages came: more may follow soon."""
        self._next_s = self._least_s

    def wait_s(self, most_s: float | None = None) -> float:
        """The wait after a look that found nothing. `most_s` replaces the upper bound where the database wakes us."""
        wait_s = self._next_s if most_s is None else most_s
        self._next_s = min(self._next_s * 2, self._most_s)
        return wait_s


class Reconnecting:
    """Full jitter: any time between 0 and a bound that doubles, so that many relays do not come back in step.

    (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog.)
    """

    def __init__(self, most_s: float, chance: Callable[[], float] = random.random) -> None:
        self._most_s = most_s
        self._chance = chance
        self._failures = 0

    def on_success(self) -> None:
        """The connection worked."""
        self._failures = 0

    def wait_s(self) -> float:
        """The wait before the next connection."""
        self._failures += 1
        return self._chance() * min(0.5 * 2.0 ** min(self._failures, 30), self._most_s)
