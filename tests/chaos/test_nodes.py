"""A short version of the long run of several nodes. `make chaos` runs it at full size."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import nodes
from tests.support.redis import need_redis

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.mark.parametrize(
    ("seed", "durable", "disasters"),
    [
        (21, True, ("kill Redis", "pause Redis", "cut a node off")),
        (22, False, ("kill a node", "silence a node", "kill Redis")),
    ],
)
async def test_nobody_misses_anything_without_being_told(
    seed: int, durable: bool, disasters: tuple[str, ...], tmp_path: Path
) -> None:
    need_redis()
    plan = nodes.Plan(seed, clients=150, disasters=disasters, length_s=4, durable=durable)
    seen, ledger = await nodes.run(plan, tmp_path, print)

    print(nodes.describe(plan, seen, ledger))
    assert not seen.silent_gaps
    assert not seen.duplicates
    assert not seen.different
    assert not seen.twice
    assert ledger.count > 100
    assert seen.delivered > 1000
    if durable:
        assert seen.explicit_gaps <= plan.wildcards * len(disasters), "only wildcards are told of gaps"
    else:
        assert seen.explicit_gaps >= plan.clients - plan.wildcards, "a Redis that restarts is another life"
