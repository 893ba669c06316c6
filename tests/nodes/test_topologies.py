"""A Cluster of three primaries with sharded pub/sub, and a failover by Sentinel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apex_rtm.redis_url import Address, Target
from tests.support.engines import follow, publish
from tests.support.redis import need_redis
from tests.support.redis_cluster import run_cluster, run_sentinel
from tests.support.shared_log import Node, SharedLog

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SharedLog]:
    need_redis()
    made = SharedLog(tmp_path / "unused")
    yield made
    await made.close()


async def test_a_cluster_shares_the_channels_among_its_servers(log: SharedLog, tmp_path: Path) -> None:
    with run_cluster(tmp_path / "cluster") as servers:
        target = Target("cluster", tuple(Address("127.0.0.1", server.port) for server in servers))
        one, two = [await log.node(target=target, partitions=16, timeout_s=5.0) for _ in range(2)]
        names = [f"c{n}" for n in range(40)]
        for name in names:
            await follow(two.engine, name)

        await publish(one.engine, *names, *names)

        await two.until(lambda: len(two.places) == 80)
        assert sorted(two.places) == sorted((name, offset) for name in names for offset in (1, 2))
        assert all(b"cmdstat_spublish" in server.ask("INFO", "commandstats") for server in servers), "sharded pub/sub"
        await follow(one.engine, "*")
        await publish(two.engine, "c1", "c2", "c3")
        await one.until(lambda: sorted(p for p in one.places if p[1] == 3) == [("c1", 3), ("c2", 3), ("c3", 3)])
        assert two.listener.lost == []

        victim = servers[0]
        held = {name for name in names if _address(two, name) == victim.port}
        assert 0 < len(held) < len(names)
        victim.kill()
        victim.start()
        await two.until(lambda: held <= set(two.listener.lost))
        await publish(one.engine, *names)

        # What that server held is another life, and its subscribers were told; what the others held goes on.
        await two.until(lambda: all(two.engine.journal.top(name).offset >= 3 for name in set(names) - held))
        await two.until(lambda: all(two.engine.journal.top(name).offset == 1 for name in held))
        assert set(two.listener.lost) == held
        for node in log.nodes:
            await node.engine.stop()


async def test_a_failover_begins_new_epochs_and_goes_on(log: SharedLog, tmp_path: Path) -> None:
    with run_sentinel(tmp_path / "sentinel") as (primary, replica, watcher):
        target = Target("sentinel", (Address("127.0.0.1", watcher.port),), service="main")
        one, two = [await log.node(target=target, timeout_s=20.0) for _ in range(2)]
        await follow(two.engine, "a")
        (before,) = await publish(one.engine, "a")
        await two.delivers(("a", 1))

        primary.kill()
        (after,) = await publish(one.engine, "a")

        assert b"role:master" in replica.ask("INFO", "replication")
        assert after.position.epoch != before.position.epoch, "what the old primary acknowledged last may be lost"
        await two.until(lambda: two.engine.journal.top("a") == after.position)
        assert two.listener.lost == ["a"]
        await publish(one.engine, "a")
        await two.until(lambda: two.places[-1] == ("a", 2))
        for node in log.nodes:
            await node.engine.stop()


def _address(node: Node, channel: str) -> int:
    """The port of the server that has a channel."""
    return node.engine._servers.of(node.engine._layout.partition(channel)).server.address.port
