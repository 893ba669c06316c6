"""The machine's clocks and the one of the tests keep the same contract."""

from __future__ import annotations

import time

from apex_rtm.clock import Clock, SystemClock
from tests.support.clock import FakeClock


def test_the_system_clock_reads_the_machines_clocks() -> None:
    clock: Clock = SystemClock()
    wall, monotonic = time.time(), time.monotonic()

    assert 0 <= clock.now() - wall < 5
    assert 0 <= clock.monotonic() - monotonic < 5


def test_the_fake_clock_moves_only_when_told() -> None:
    clock: Clock = FakeClock(100.0)
    assert clock.now() == clock.now() == 100.0
    assert isinstance(clock, FakeClock)
    before = clock.monotonic()

    clock.advance(5)
    clock.jump(-3600)

    assert clock.now() == 105 - 3600
    assert clock.monotonic() == before + 5  # setting the machine's clock must not end connections
