"""Everybody comes back at once after a restart, while somebody keeps asking whether the server lives."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.chaos.follower import Findings, Follower
from tests.support.server import ServerProcess, run_server


@dataclass(slots=True)
class StormFigures:
    """What a storm cost."""

    clients: int
    back_after_s: float = 0.0
    health_ms: list[float] = field(default_factory=list)
    health_failures: int = 0
    findings: Findings = field(default_factory=Findings)

    def describe(self) -> str:
        slowest, median = max(self.health_ms), statistics.median(self.health_ms)
        return (
            f"{self.clients} clients back and recovered {self.back_after_s:.1f} s after the restart; "
            f"/health/live asked {len(self.health_ms)} times: median {median:.0f} ms, slowest {slowest:.0f} ms, "
            f"failed {self.health_failures}; recovered {self.findings.recovered}, explicit gaps "
            f"{self.findings.explicit_gaps}, silent gaps {len(self.findings.silent_gaps)}, "
            f"duplicates {len(self.findings.duplicates)}"
        )


async def run(clients: int, data_dir: Path, *, missed: int = 20) -> StormFigures:
    """Connect, kill the server, publish `missed` messages, let everybody return at the same moment."""
    figures = StormFigures(clients)
    with run_server(data_dir, log_level="warning", command_rate=0) as server:
        followers = [Follower(f"storm:{n % 100}", server.port, figures.findings) for n in range(clients)]
        await _connect_all(followers)
        await asyncio.to_thread(server.restart)
        top = await _publish(server, missed)
        stop = asyncio.Event()
        watching = asyncio.create_task(_watch_health(server, figures, stop))
        started = time.monotonic()
        async with asyncio.timeout(60):
            await _connect_all(followers)
            for follower in followers:
                await follower.reach(top[follower.channel])
        figures.back_after_s = time.monotonic() - started
        stop.set()
        await watching
        for follower in followers:
            follower.cut()
    return figures


async def _connect_all(followers: list[Follower]) -> None:
    at_once = asyncio.Semaphore(1000)  # connection attempts under way, as the kernel's backlog would have it

    async def connect(follower: Follower) -> None:
        async with at_once:
            await follower.connect()
            await follower.subscribed.wait()

    await asyncio.gather(*(connect(follower) for follower in followers))


async def _publish(server: ServerProcess, count: int) -> dict[str, tuple[str, int]]:
    top: dict[str, tuple[str, int]] = {}
    async with httpx.AsyncClient(base_url=server.url) as http:
        for number in range(100):
            messages = [{"channel": f"storm:{number}", "payload": n} for n in range(count)]
            results = (await http.post("/api/broadcast/batch", json={"messages": messages})).json()["results"]
            top[f"storm:{number}"] = (results[-1]["epoch"], results[-1]["offset"])
    return top


async def _watch_health(server: ServerProcess, figures: StormFigures, stop: asyncio.Event) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as http:
        while not stop.is_set():
            before = time.monotonic()
            try:
                answer = await http.get("/health/live", headers={"Connection": "close"})
                figures.health_failures += answer.status_code != 200
            except httpx.HTTPError:
                figures.health_failures += 1
            figures.health_ms.append((time.monotonic() - before) * 1000)
            await asyncio.sleep(0.05)
