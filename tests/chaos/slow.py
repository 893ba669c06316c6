"""Readers that stand still beside readers that do not: the second must not notice the first."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.chaos.rawclient import RawClient, open_raw
from tests.support.server import ServerProcess, run_server

FAST = 100


@dataclass(slots=True)
class SlowFigures:
    """Latency of the fast readers in milliseconds, and the memory of the server, without and with the slow ones."""

    slow: int
    alone_ms: list[float] = field(default_factory=list)
    beside_ms: list[float] = field(default_factory=list)
    delivered: int = 0
    expected: int = 0
    rss_before_mb: float = 0.0
    rss_after_mb: float = 0.0
    slow_closed: int = 0

    def describe(self) -> str:
        return (
            f"{FAST} fast readers alone: median {statistics.median(self.alone_ms):.1f} ms; "
            f"beside {self.slow} slow readers: median {statistics.median(self.beside_ms):.1f} ms; "
            f"delivered {self.delivered} of {self.expected}; "
            f"slow readers closed {self.slow_closed}; server RSS {self.rss_before_mb:.0f} -> {self.rss_after_mb:.0f} MB"
        )


async def run(slow: int, messages: int, data_dir: Path) -> SlowFigures:
    """Measure the fast readers alone, then beside `slow` connections on the same channel that never read."""
    figures = SlowFigures(slow)
    settings = {"write_timeout_s": 2, "close_timeout_s": 1, "outbox_max_bytes": 1_048_576, "log_level": "warning"}
    with run_server(data_dir, engine="memory", **settings) as server:
        readers = _Readers()
        fast = [await open_raw(server.port, readers.on_text, _subscribe) for _ in range(FAST)]
        await readers.wait_for(FAST)
        figures.alone_ms = await readers.measure(server, messages)
        sleepers = await _sleepers(server, slow)
        figures.rss_before_mb = _rss_mb(server.pid)
        figures.beside_ms = await readers.measure(server, messages)
        figures.rss_after_mb = _rss_mb(server.pid)
        figures.delivered, figures.expected = readers.delivered, 2 * messages * FAST
        figures.slow_closed = await _count_closed(server, slow)
        for client in fast:
            client.transport.abort()
        for sleeper in sleepers:
            sleeper.close()
    return figures


def _subscribe(client: RawClient) -> None:
    client.send(type="subscribe", channel="test")


class _Readers:
    """What arrives at the fast readers."""

    def __init__(self) -> None:
        self.subscribed = 0
        self.delivered = 0
        self._due = 0
        self._moved = asyncio.Event()

    def on_text(self, text: bytes) -> None:
        if text.startswith(b'{"type":"subscribed"'):
            self.subscribed += 1
        elif text.startswith(b'{"channel"'):
            self.delivered += 1
        self._moved.set()

    async def wait_for(self, count: int) -> None:
        while self.subscribed < count:
            await self._next()

    async def _next(self) -> None:
        self._moved.clear()
        async with asyncio.timeout(30):
            await self._moved.wait()

    async def measure(self, server: ServerProcess, messages: int) -> list[float]:
        """Publish one at a time; the time until the last fast reader has it."""
        times = []
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            for number in range(messages):
                self._due = self.delivered + FAST
                before = time.monotonic()
                body = {"channel": "test", "payload": {"number": number, "text": "x" * 8000}}
                assert (await http.post("/api/broadcast", json=body)).status_code == 200
                while self.delivered < self._due:
                    await self._next()
                times.append((time.monotonic() - before) * 1000)
        return times


async def _sleepers(server: ServerProcess, count: int) -> list[socket.socket]:
    """Subscribe and never read: small receive buffers, so that the kernel does not hide it for long."""
    request = (
        b"GET /?channel=test HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    sleepers = []
    for number in range(count):
        sleeper = socket.socket()
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.connect(("127.0.0.1", server.port))
        sleeper.send(request)
        sleepers.append(sleeper)
        if number % 500 == 499:
            await asyncio.sleep(0)
    await _until_connected(server, count + FAST)
    return sleepers


async def _until_connected(server: ServerProcess, count: int) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http, asyncio.timeout(60):
        while (await http.get("/api/connections?limit=0")).json()["total"] < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # the server has no event for somebody else's connection


async def _count_closed(server: ServerProcess, slow: int) -> int:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        total: int = (await http.get("/api/connections?limit=0")).json()["total"]
    return slow + FAST - total


def _rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
