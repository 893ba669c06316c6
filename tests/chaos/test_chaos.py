"""Short versions of the long runs. `make chaos` runs them at full size with printed figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import cuts, slow, storm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.mark.parametrize("seed", [11, 12])
async def test_nothing_is_lost_silently_over_cuts_and_kills(seed: int, tmp_path: Path) -> None:
    plan = cuts.Plan(seed, clients=60, channels=5, kills=3, seconds_between_kills=2.0)
    findings, ledger = await cuts.run(plan, tmp_path, print)

    print(cuts.describe(plan, findings, ledger))
    assert not findings.silent_gaps
    assert not findings.duplicates
    assert not findings.different
    assert findings.explicit_gaps == 0, "the log was long enough for every cut"
    assert findings.recovered > 60
    assert ledger.count > 200


async def test_a_restart_of_the_memory_engine_is_told_and_never_silent(tmp_path: Path) -> None:
    plan = cuts.Plan(13, clients=20, channels=2, kills=2, seconds_between_kills=1.5, engine="memory")
    findings, ledger = await cuts.run(plan, tmp_path, print)

    print(cuts.describe(plan, findings, ledger))
    assert not findings.silent_gaps
    assert not findings.duplicates
    assert findings.explicit_gaps >= 20, "every client is told that the log of its channel is gone"


async def test_a_log_shorter_than_the_cuts_says_so(tmp_path: Path) -> None:
    plan = cuts.Plan(14, clients=20, channels=1, kills=0, pause_between_publishes_s=0.002, history_size=20)
    findings, ledger = await cuts.run(plan, tmp_path, print)

    print(cuts.describe(plan, findings, ledger))
    assert not findings.silent_gaps
    assert not findings.duplicates
    assert findings.explicit_gaps > 0


async def test_a_reconnect_storm_leaves_the_server_answering(tmp_path: Path) -> None:
    figures = await storm.run(1000, tmp_path)

    print(figures.describe())
    assert figures.health_failures == 0
    assert figures.findings.recovered == 1000
    assert not figures.findings.silent_gaps
    assert not figures.findings.duplicates


async def test_slow_readers_are_closed_and_the_fast_ones_get_everything(tmp_path: Path) -> None:
    figures = await slow.run(500, 300, tmp_path)

    print(figures.describe())
    assert figures.delivered == figures.expected
    assert figures.slow_closed == 500
    assert figures.rss_after_mb - figures.rss_before_mb < 300
