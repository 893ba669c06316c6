"""A Redis Cluster, and a Sentinel with a replica, of real processes on free ports."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.support.redis import RedisProcess, free_port

_SLOTS = 16384


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _says(server: RedisProcess, text: bytes) -> bool:
    return text in server.ask("CLUSTER", "INFO")


@contextlib.contextmanager
def run_cluster(directory: Path, primaries: int = 3) -> Iterator[list[RedisProcess]]:
    """Primaries without replicas that share the slots among them."""
    servers = [
        RedisProcess(
            directory / f"node{number}", cluster_enabled="yes", cluster_config_file="nodes.conf",
            cluster_port=free_port(), cluster_node_timeout=2000, cluster_require_full_coverage="no",
        )
        for number in range(primaries)
    ]  # fmt: skip
    try:
        for server in servers:
            server.start()
        for number, server in enumerate(servers):
            first, last = number * _SLOTS // primaries, (number + 1) * _SLOTS // primaries - 1
            assert server.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(last)) == b"+OK\r\n"
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            bus = str(servers[0].options["cluster_port"])
            server.ask("CLUSTER", "MEET", "127.0.0.1", str(servers[0].port), bus)
        for server in servers:
            until(partial(_says, server, b"cluster_known_nodes:%d" % primaries))
            until(partial(_says, server, b"cluster_slots_ok:16384"))
            until(partial(_says, server, b"cluster_state:ok"))
        yield servers
    finally:
        for server in servers:
            server.kill()


@contextlib.contextmanager
def run_sentinel(directory: Path) -> Iterator[tuple[RedisProcess, RedisProcess, RedisProcess]]:
    """A primary, its replica, and one Sentinel that watches over the service `main`."""
    primary = RedisProcess(directory / "primary", repl_diskless_sync_delay=0)
    replica = RedisProcess(directory / "replica", replicaof=f"127.0.0.1 {primary.port}")
    watcher = RedisProcess(directory / "sentinel")
    try:
        primary.start()
        replica.start()
        until(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"))
        watcher.start_sentinel("main", primary.port)
        until(lambda: b"slaves=1" in watcher.ask("INFO", "sentinel"))
        yield primary, replica, watcher
    finally:
        for server in (watcher, replica, primary):
            server.kill()
