"""What several nodes on one Redis cost: `python -m bench.nodes` prints a table for docs/scale.md.

Processor time is read from /proc and from Redis itself, so that it says something on a busy machine too; rates do not.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.chaos.rawclient import RawClient, open_raw
from tests.support.redis import RedisProcess
from tests.support.server import ServerProcess

_SUBSCRIBERS: Final = 300
_FANNED_OUT: Final = 400
_PUBLISHED: Final = 20_000
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Figures:
    """One row; times in microseconds."""

    nodes: int
    deliveries: int = 0
    delivery_us: float = 0.0
    node_us: float = 0.0
    redis_us: float = 0.0
    rate: float = 0.0
    memory_kb: float = 0.0
    names: list[str] = field(default_factory=list)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_kb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0])


class Publisher:
    """One kept connection that posts batches."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def batch(self, messages: list[dict[str, Any]]) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        body = json.dumps({"messages": messages}).encode()
        head = b"POST /api/broadcast/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(head + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        lines = answer.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        found = json.loads(await reader.readexactly(length))
        assert all(result["ok"] for result in found["results"]), found

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def measure(count: int, directory: Path) -> Figures:
    """Start `count` nodes, publish without and with subscribers."""
    figures = Figures(count)
    redis = RedisProcess(directory / f"redis{count}", appendonly="yes").start()
    servers = [ServerProcess(directory / f"{count}-{n}", engine=redis.url, log_level="warning") for n in range(count)]
    try:
        for server in servers:
            await asyncio.to_thread(server.start)
        await _publish(figures, servers, redis)
        await _fan_out(figures, servers)
    finally:
        for server in servers:
            server.kill()
        redis.kill()
    return figures


async def _publish(figures: Figures, servers: list[ServerProcess], redis: RedisProcess) -> None:
    assert redis.process is not None
    publishers = [Publisher(servers[n % len(servers)].port) for n in range(8)]
    rounds = _PUBLISHED // len(publishers) // 100
    payload = {"text": "x" * 150}

    async def one(number: int, publisher: Publisher) -> None:
        for turn in range(rounds):
            await publisher.batch(
                [{"channel": f"c{(number * 31 + turn * 100 + n) % 1000}", "payload": payload} for n in range(100)]
            )

    await asyncio.gather(*(publisher.batch([{"channel": "warm"}]) for publisher in publishers))
    before, redis_before = sum(cpu_s(s.pid) for s in servers), cpu_s(redis.process.pid)
    began = time.monotonic()
    await asyncio.gather(*(one(number, publisher) for number, publisher in enumerate(publishers)))
    took_s = time.monotonic() - began
    done = rounds * 100 * len(publishers)
    figures.rate = done / took_s
    figures.node_us = (sum(cpu_s(s.pid) for s in servers) - before) / done * 1e6
    figures.redis_us = (cpu_s(redis.process.pid) - redis_before) / done * 1e6
    for publisher in publishers:
        publisher.close()


async def _fan_out(figures: Figures, servers: list[ServerProcess]) -> None:
    arrived = 0
    changed = asyncio.Event()
    subscribed = 0

    def on_text(text: bytes) -> None:
        nonlocal arrived, subscribed
        arrived += text.startswith(b'{"channel"')
        subscribed += text.startswith(b'{"type":"subscribed"')
        changed.set()

    def on_open(client: RawClient) -> None:
        client.send(type="subscribe", channel="wide")

    async def until(what: int, kind: str) -> None:
        async with asyncio.timeout(120):
            while (arrived if kind == "arrived" else subscribed) < what:
                changed.clear()
                await changed.wait()

    memory = sum(rss_kb(server.pid) for server in servers)
    clients = [await open_raw(servers[n % len(servers)].port, on_text, on_open) for n in range(_SUBSCRIBERS)]
    await until(_SUBSCRIBERS, "subscribed")
    figures.memory_kb = (sum(rss_kb(server.pid) for server in servers) - memory) / _SUBSCRIBERS
    before = sum(cpu_s(server.pid) for server in servers)
    publisher = Publisher(servers[0].port)
    for number in range(_FANNED_OUT):  # one at a time: nothing is written together
        await publisher.batch([{"channel": "wide", "payload": {"number": number, "text": "x" * 100}}])
        await until((number + 1) * _SUBSCRIBERS, "arrived")
    figures.deliveries = arrived
    figures.delivery_us = (sum(cpu_s(server.pid) for server in servers) - before) / arrived * 1e6
    publisher.close()
    for client in clients:
        client.transport.abort()


def main() -> None:
    print("| nodes | publish: node CPU | publish: Redis CPU | messages/s | CPU per delivery | memory per subscriber |")
    print("|---|---|---|---|---|---|")
    for count in (1, 2, 3):
        with tempfile.TemporaryDirectory() as directory:
            f = asyncio.run(measure(count, Path(directory)))
        print(
            f"| {f.nodes} | {f.node_us:.0f} µs | {f.redis_us:.0f} µs | {f.rate:,.0f} | {f.delivery_us:.1f} µs | "
            f"{f.memory_kb:.1f} KB |",
            flush=True,
        )


if __name__ == "__main__":
    main()
