"""Rows of figures: differences of counters, one a second and one a minute, and no more than are kept."""

from __future__ import annotations

from typing import Any

import pytest

from apex_rtm.console.figures import COLUMNS, Figures
from apex_rtm.edge.intake import Intake
from apex_rtm.metrics.node import Node
from tests.support.core import Core


class Kept:
    """Figures of a server without sockets."""

    def __init__(self, core: Core) -> None:
        self.core = core
        intake = Intake(1000, 100, 10, 5.0)
        node = Node(core.hub, core.quota, intake, "memory", "open", 1 << 24, 25.0, None, core.clock.monotonic)
        self.figures = Figures(node)

    def take(self, seconds: float = 1.0) -> dict[str, float]:
        self.core.clock.advance(seconds)
        self.figures.take(self.core.clock.now())
        row = self.figures.history()["seconds"][-1]
        return dict(zip(COLUMNS, row, strict=True))


@pytest.fixture
async def kept() -> Kept:
    return Kept(await Core().start())


async def test_rates_are_per_second(kept: Kept) -> None:
    for _ in range(3):
        kept.core.open().subscribe("a")
    kept.take()
    for _ in range(4):
        await kept.core.publish("a", "x" * 100)

    row = kept.take(2.0)

    assert (row["publicationsPerS"], row["deliveriesPerS"]) == (2.0, 6.0)
    assert 6 * 100 < row["bytesPerS"] < 6 * 300
    assert (row["connections"], row["subscriptions"]) == (3, 3)
    assert row["at"] == kept.core.clock.now()
    assert row["memoryBytes"] > 10_000_000
    assert row["logBytes"] == kept.core.journal.size_bytes
    assert kept.take()["publicationsPerS"] == 0


def test_latencies_are_those_since_the_last_row(kept: Kept) -> None:
    appends = kept.core.hub.counts.appends
    appends.observe(99.0)
    kept.take()
    for _ in range(19):
        appends.observe(0.002)
    appends.observe(0.2)

    row = kept.take()

    assert row["appendMs"] == pytest.approx((19 * 2 + 200) / 20)
    assert row["appendP95Ms"] == 2.5
    row = kept.take()
    assert (row["appendMs"], row["appendP95Ms"]) == (0, 0)


def test_a_clock_that_stands_still_gives_no_row(kept: Kept) -> None:
    kept.figures.take(kept.core.clock.now())

    assert kept.figures.history()["seconds"] == []


def test_a_minute_is_the_mean_of_its_seconds_and_memory_is_bounded(kept: Kept) -> None:
    for second in range(60):
        kept.core.hub.counts.publications += 2 * (second % 2)
        kept.take()
    (minute,) = kept.figures.history()["minutes"]
    assert minute[COLUMNS.index("publicationsPerS")] == pytest.approx(1.0)
    assert minute[0] == kept.core.clock.now()

    for _ in range(1000):
        kept.take()

    assert len(kept.figures.history()["seconds"]) == 900


def test_operators_are_told_and_nobody_else(kept: Kept) -> None:
    operator, other = kept.core.open(), kept.core.open()
    kept.figures.tell()
    kept.core.hub.operators[operator.session] = None
    row = kept.take()
    kept.figures.tell()

    frame: dict[str, Any] = operator.peer.take_one()
    assert frame["type"] == "figures"
    assert frame["row"] == list(row.values())
    assert row["connections"] == 1
    assert other.peer.take() == []
