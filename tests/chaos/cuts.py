"""Clients that are cut at random while the server is killed under load: nothing may get lost silently."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.follower import Findings, Follower
from tests.chaos.load import Ledger, Load
from tests.support.server import run_server


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run. The same seed gives the same cuts and kills; the machine decides how they interleave."""

    seed: int
    clients: int = 200
    channels: int = 10
    publishers: int = 4
    kills: int = 10
    seconds_between_kills: float = 4.0
    pause_between_publishes_s: float = 0.01
    longest_cut_s: float = 2.0
    engine: str = "sqlite"
    history_size: int = 5000


async def run(plan: Plan, data_dir: Path, say: Callable[[str], None]) -> tuple[Findings, Ledger]:
    """Run the plan; return what was seen. Raises AssertionError when a client does not catch up in the end."""
    chance = random.Random(plan.seed)
    findings, ledger = Findings(), Ledger()
    channels = [f"chaos:{number}" for number in range(plan.channels)]
    with run_server(data_dir, engine=plan.engine, history_size=plan.history_size, log_level="warning") as server:
        followers = [Follower(channels[n % len(channels)], server.port, findings) for n in range(plan.clients)]
        for follower in followers:
            await follower.connect()
            await follower.subscribed.wait()
            follower.cut()
        stop_load, stop_cuts = asyncio.Event(), asyncio.Event()
        loads = [Load(f"p{n}", server.port, ledger) for n in range(plan.publishers)]
        publishing = [
            asyncio.create_task(load.run(channels, plan.pause_between_publishes_s, stop_load)) for load in loads
        ]
        living = [
            asyncio.create_task(
                f.live_with_cuts(random.Random(chance.random()), stop_cuts, longest_cut_s=plan.longest_cut_s)
            )
            for f in followers
        ]
        started = time.monotonic()
        for kill in range(plan.kills):
            await asyncio.sleep(chance.uniform(0.5, 2 * plan.seconds_between_kills - 0.5))
            before = time.monotonic()
            await asyncio.to_thread(server.restart)
            took_ms = (time.monotonic() - before) * 1000
            say(f"kill -9 number {kill + 1}: back after {took_ms:.0f} ms, {ledger.count} publications answered so far")
        await asyncio.sleep(plan.seconds_between_kills / 2)
        stop_load.set()
        await asyncio.gather(*publishing)
        stop_cuts.set()
        await asyncio.gather(*living)
        await _catch_up(followers, ledger)
        say(f"{time.monotonic() - started:.0f} s of load")
        for follower in followers:
            follower.cut()
    for channel, answered in ledger.answered.items():
        for position, message_id in answered.items():
            seen = findings.ids.get((channel, *position))
            if seen is not None and seen != message_id:
                findings.different.append(f"{channel} {position}: answered {message_id}, delivered {seen}")
    return findings, ledger


async def _catch_up(followers: list[Follower], ledger: Ledger) -> None:
    async with asyncio.timeout(30):
        for follower in followers:
            follower.cut()
            await follower.connect()
        for follower in followers:
            await follower.reach(ledger.top[follower.channel])


def describe(plan: Plan, findings: Findings, ledger: Ledger) -> str:
    """Say in a few lines what happened."""
    return "\n".join(
        [
            f"seed {plan.seed}, engine {plan.engine}: {plan.clients} clients, {plan.kills} x kill -9",
            f"  publications answered   {ledger.count} (repeated by id {ledger.repeats} times)",
            f"  deliveries              {findings.delivered} over {findings.connections} connections",
            f"  recovered true / false  {findings.recovered} / {findings.explicit_gaps}",
            f"  silent gaps             {len(findings.silent_gaps)} {findings.silent_gaps[:3]}",
            f"  duplicates              {len(findings.duplicates)} {findings.duplicates[:3]}",
            f"  different content       {len(findings.different)} {findings.different[:3]}",
        ]
    )
