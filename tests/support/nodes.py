"""Several nodes behind nginx on one Redis, from the files in deploy/nodes; only ports and addresses are replaced."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.balancer import replace_each, run_balancer
from tests.support.proxy import TcpProxy
from tests.support.redis import RedisProcess, free_port
from tests.support.server import SECURED, ServerProcess

FOLDER = Path(__file__).resolve().parent.parent.parent / "deploy" / "nodes"
FIRST_PORT = 3001


@dataclass(slots=True)
class Nodes:
    """A running set. `servers[n]` reaches Redis through `proxies[n]`."""

    redis: RedisProcess
    servers: list[ServerProcess]
    proxies: list[TcpProxy]
    port: int = 0


def make_config(redis_port: int, **changes: str) -> str:
    """The example's configuration, for another address of Redis."""
    text = (FOLDER / "apex-rtm.toml.example").read_text(encoding="utf-8")
    return replace_each(text, [("127.0.0.1:6379", f"127.0.0.1:{redis_port}"), *changes.items()])


def make_site(port: int, ports: list[int]) -> str:
    """The example's nginx configuration, for these ports."""
    text = (FOLDER / "nginx.conf.example").read_text(encoding="utf-8")
    nodes = [(f"127.0.0.1:{FIRST_PORT + n} ", f"127.0.0.1:{node} ") for n, node in enumerate(ports)]
    return replace_each(text, [("listen 80;", f"listen 127.0.0.1:{port};"), *nodes])


@contextlib.asynccontextmanager
async def run_nodes(
    directory: Path, redis: RedisProcess, changes: dict[str, str] | None = None, **settings: Any
) -> AsyncIterator[Nodes]:
    """Three nodes and nginx for the time of a `with` block; Redis must run already."""
    nodes = Nodes(redis, [], [])
    try:
        for number in range(3):
            proxy = await TcpProxy(redis.port).start()
            nodes.proxies.append(proxy)
            config = directory / f"node{number}.toml"
            config.write_text(make_config(proxy.port, **(changes or {})))
            server = ServerProcess(directory / f"node{number}", config=config, **SECURED, **settings)
            await asyncio.to_thread(server.start)
            nodes.servers.append(server)
        nodes.port = free_port()
        site = make_site(nodes.port, [server.port for server in nodes.servers])
        with run_balancer(directory / "nginx", site, nodes.port):
            yield nodes
    finally:
        for server in nodes.servers:
            await asyncio.to_thread(server.kill)
        for proxy in nodes.proxies:
            await proxy.close()
