"""Engines of several nodes in one process, each with its own way to one Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apex_rtm.engine.redis.engine import RedisEngine
from apex_rtm.engine.redis.layout import Layout
from apex_rtm.redis_url import Address, Target
from tests.support.clock import FakeClock
from tests.support.core import make_journal
from tests.support.engines import Listener
from tests.support.proxy import TcpProxy
from tests.support.redis import RedisProcess

PATIENCE_S = 25.0


class Node:
    """One engine, what it delivered, and its proxy."""

    def __init__(self, log: SharedLog, proxy: TcpProxy, options: dict[str, Any]) -> None:
        values = {"timeout_s": 2.0, "durable": False, "partitions": 4, **options}
        journal = make_journal(size=values.pop("size", 1000))
        layout = Layout("rtm", values.pop("partitions"))
        single = Target("single", (Address("127.0.0.1", proxy.port),), password=values.pop("password", None))
        target = values.pop("target", single)
        self.proxy = proxy
        self.engine = RedisEngine(
            target, layout, journal, journal._retention, log.clock, channel_ttl_s=1000, idempotency_window_s=300,
            revocation_keep_s=1000, max_waiting=values.pop("max_waiting", 1000), **values,
        )  # fmt: skip
        self.listener = Listener(journal)

    @property
    def places(self) -> list[tuple[str, int]]:
        return self.listener.places

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for what the engine does by itself; its events are many, and none of them is for tests."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def delivers(self, *places: tuple[str, int]) -> None:
        await self.until(lambda: len(self.places) >= len(places))
        assert self.places == list(places)


class SharedLog:
    """One Redis and the nodes on it."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.redis = RedisProcess(directory, **options)
        self.clock = FakeClock()
        self.nodes: list[Node] = []

    async def node(self, **options: Any) -> Node:
        """Start another node."""
        node = Node(self, await TcpProxy(self.redis.port).start(), options)
        self.nodes.append(node)
        await node.engine.start(node.listener)
        return node

    async def close(self) -> None:
        self.redis.go_on()
        for node in self.nodes:
            await node.engine.stop()
            await node.proxy.close()
        self.redis.kill()
