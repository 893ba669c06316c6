"""What this node has done since it started, as plain numbers. Nothing is computed before somebody asks.

Writers add integers, at most once for each publication or each flush; `metrics` and the console read. All of it belongs
to one process: in a cluster every node has its own, and sums are the business of whoever collects them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Protocol

# From a write to memory up to a disk that hangs; each histogram has these bounds, so that they can be compared.
BOUNDS_S: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0
)  # fmt: skip
_STATUS_CLASSES: Final = ("", "1xx", "2xx", "3xx", "4xx", "5xx")


class Tally:
    """A histogram of durations in seconds: how many were at most as long as each bound, and their sum.

    `counts` has one more place than BOUNDS_S, for what was longer than all of them.
    """

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """Add one duration. One that lies exactly on a bound belongs below it."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    @property
    def count(self) -> int:
        """How many durations there were."""
        return sum(self.counts)


class Waiting(Protocol):
    """A connection that something waits in."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were sent and that the kernel has not taken yet."""
        ...


@dataclass(slots=True)
class Counts:
    """Counters only grow. `refusals` and `requests` have keys from closed sets, whatever a client sends."""

    publications: int = 0
    deliveries: int = 0
    delivered_bytes: int = 0
    replayed: int = 0
    fanout: Tally = field(default_factory=Tally)
    """One observation for each flush, however many publications and subscribers it has."""

    recovered: int = 0
    not_recovered: int = 0
    closed_slow: int = 0
    closed_resync: int = 0
    revocations: int = 0
    opened: int = 0
    closes: Counter[int] = field(default_factory=Counter)
    """WebSockets that ended, by code: the one sent by the side that began the closing; 1006 where neither did."""

    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By surface (`http`, `websocket`) and error code of docs/protocol.md, section 9."""

    appends: Tally = field(default_factory=Tally)
    """From handing messages to the engine to its answer: one observation for a message or a batch."""

    unavailable: int = 0
    """Messages that the engine could not take."""

    requests: dict[tuple[str, str], int] = field(default_factory=dict)
    """HTTP requests by route template and status class (`2xx`)."""

    request_times: dict[str, Tally] = field(default_factory=dict)
    """By route template, until the last byte of the answer was handed over."""

    loop_lag: Tally = field(default_factory=Tally)
    """How much later than asked for the event loop came back to a sleeping task."""

    paused: set[Waiting] = field(default_factory=set)
    """Connections whose peer reads more slowly than it is written to: few, so that a scrape may look at each."""

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Add a request that was answered; `route` is a template, never what a client typed."""
        key = route, _STATUS_CLASSES[status // 100]
        self.requests[key] = self.requests.get(key, 0) + 1
        times = self.request_times.get(route)
        if times is None:
            times = self.request_times[route] = Tally()
        times.observe(seconds)
