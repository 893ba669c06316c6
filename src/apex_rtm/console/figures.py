"""The figures behind the console's charts: one row a second for a quarter of an hour, one a minute for a day.

They are kept whether anybody looks or not, so that a person who opens the console after an incident sees it. A row is a
difference between two looks at counters that are kept anyway; together the rows take about a megabyte.
"""

from __future__ import annotations

import time
from collections import deque
from itertools import accumulate
from typing import Any, Final

from apex_rtm.counts import BOUNDS_S, Counts, Tally
from apex_rtm.metrics.node import Node
from apex_rtm.metrics.process import memory_bytes
from apex_rtm.protocol import reply_frame

COLUMNS: Final = (
    "at", "connections", "users", "subscriptions", "publicationsPerS", "deliveriesPerS", "bytesPerS", "appendMs",
    "appendP95Ms", "fanoutMs", "lagMs", "memoryBytes", "cpu", "logBytes", "slowConnections", "waitingBytes",
    "refusalsPerS",
)  # fmt: skip
_SECONDS: Final = 900
_MINUTES: Final = 1440

Row = tuple[float, ...]


class _Look:
    """The counters at one moment."""

    __slots__ = ("appends", "bytes", "cpu_s", "deliveries", "fanout", "lag", "monotonic", "publications", "refusals")

    def __init__(self, counts: Counts, monotonic: float) -> None:
        self.monotonic = monotonic
        self.cpu_s = time.process_time()
        self.publications = counts.publications
        self.deliveries = counts.deliveries
        self.bytes = counts.delivered_bytes
        self.refusals = counts.refusals.total()
        self.appends = _copy(counts.appends)
        self.fanout = _copy(counts.fanout)
        self.lag = _copy(counts.loop_lag)


class Figures:
    """Takes a row with each `take`, and a row of their means with every sixtieth."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._before = _Look(node.hub.counts, node.monotonic())
        self._seconds: deque[Row] = deque(maxlen=_SECONDS)
        self._minutes: deque[Row] = deque(maxlen=_MINUTES)
        self._minute: list[Row] = []

    def take(self, now: float) -> None:
        """Look again. `now` is in seconds since 1970; nothing is taken twice in the same moment."""
        look = _Look(self._node.hub.counts, self._node.monotonic())
        elapsed_s = look.monotonic - self._before.monotonic
        if elapsed_s <= 0:
            return
        row = self._row(now, look, elapsed_s)
        self._before = look
        self._seconds.append(row)
        self._minute.append(row)
        if len(self._minute) == 60:
            self._minutes.append((now, *(sum(values) / 60 for values in list(zip(*self._minute, strict=True))[1:])))
            self._minute.clear()

    def _row(self, now: float, look: _Look, elapsed_s: float) -> Row:
        node, before = self._node, self._before
        hub = node.hub
        return (
            now,
            len(hub.sessions) - len(hub.operators),
            len(node.quota.users),
            hub.registry.count,
            (look.publications - before.publications) / elapsed_s,
            (look.deliveries - before.deliveries) / elapsed_s,
            (look.bytes - before.bytes) / elapsed_s,
            _mean_ms(before.appends, look.appends),
            _p95_ms(before.appends, look.appends),
            _mean_ms(before.fanout, look.fanout),
            _p95_ms(before.lag, look.lag),
            memory_bytes(),
            (look.cpu_s - before.cpu_s) / elapsed_s,
            hub.journal.size_bytes,
            len(hub.counts.paused),
            sum(connection.waiting_bytes for connection in hub.counts.paused),
            (look.refusals - before.refusals) / elapsed_s,
        )

    def tell(self) -> None:
        """Send the newest row to every console."""
        operators = self._node.hub.operators
        if operators and self._seconds:
            frame = reply_frame("figures", row=self._seconds[-1])
            for session in tuple(operators):
                session.send(frame)

    def history(self) -> dict[str, Any]:
        """Everything that is kept: `{"columns": […], "seconds": [[…]], "minutes": [[…]]}`."""
        return {"columns": COLUMNS, "seconds": list(self._seconds), "minutes": list(self._minutes)}


_Copy = tuple[tuple[int, ...], float]


def _copy(tally: Tally) -> _Copy:
    return tuple(tally.counts), tally.sum_s


def _mean_ms(before: _Copy, after: _Copy) -> float:
    count = sum(after[0]) - sum(before[0])
    return (after[1] - before[1]) / count * 1000 if count else 0.0


def _p95_ms(before: _Copy, after: _Copy) -> float:
    """The bound that 95 of 100 stayed below; 0 where there was nothing, the last bound for what was longer than all."""
    counts = [new - old for new, old in zip(after[0], before[0], strict=True)]
    total = sum(counts)
    if not total:
        return 0.0
    place = next(i for i, sum_so_far in enumerate(accumulate(counts)) if sum_so_far >= 0.95 * total)
    return BOUNDS_S[min(place, len(BOUNDS_S) - 1)] * 1000
