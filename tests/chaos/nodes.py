"""Three nodes behind nginx on one Redis, and everything that can fail: nobody may miss anything without being told."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.chaos.load import Ledger
from tests.chaos.reader import Reader, Seen
from tests.support.nodes import Nodes, run_nodes
from tests.support.redis import RedisProcess
from tests.support.server import API_KEY
from tests.support.tokens import make_token

DISASTERS: Final = ("kill a node", "kill Redis", "cut a node off", "silence a node", "pause Redis", "roll all nodes")


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run. The same seed gives the same disasters; the machine decides how they interleave."""

    seed: int
    clients: int = 600
    wildcards: int = 15
    channels: int = 20
    publishers: int = 4
    pause_between_publishes_s: float = 0.04
    disasters: Sequence[str] = DISASTERS
    length_s: float = 10.0
    durable: bool = False


class Load:
    """Publishes through nginx; each message is repeated with its id until it is answered."""

    def __init__(self, name: str, port: int, ledger: Ledger) -> None:
        self._name = name
        self._port = port
        self._ledger = ledger
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, channels: list[str], pause_s: float, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await self.publish(channels[number % len(channels)], f"{self._name}-{number}")
            await asyncio.sleep(pause_s)
        self.drop()

    async def publish(self, channel: str, message_id: str) -> None:
        body = json.dumps({"channel": channel, "payload": {"text": "x" * 100}, "id": message_id}).encode()
        while True:
            try:
                async with asyncio.timeout(8):
                    status, answer = await self._post(body)
            except (OSError, EOFError, TimeoutError):
                self.drop()
                status = 0
            if status == 200:
                found = json.loads(answer)
                self._ledger.note(channel, found["epoch"], found["offset"], found["id"])
                return
            assert status in (0, 502, 503, 504), answer
            self._ledger.repeats += 1
            await asyncio.sleep(0.1)

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(
            b"POST /api/broadcast HTTP/1.1\r\nHost: rtm.yourdomain.com\r\nX-API-Key: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (API_KEY.encode(), len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        return int(lines[0].split()[1]), await reader.readexactly(length)

    def drop(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


class Run:
    """One run of a plan."""

    def __init__(self, plan: Plan, nodes: Nodes, say: Callable[[str], None]) -> None:
        self.seen, self.ledger = Seen(), Ledger()
        self._plan = plan
        self._nodes = nodes
        self._say = say
        self._chance = random.Random(plan.seed)
        self._channels = [f"nodes:{number}" for number in range(plan.channels)]
        tokens = [make_token(f"USER{n}", "nodes:*") for n in range(20)]
        names = [self._channels[n % plan.channels] for n in range(plan.clients - plan.wildcards)]
        names += ["nodes:*"] * plan.wildcards
        self._readers = [
            Reader(name, nodes.port, tokens[n % 20], self.seen, random.Random(self._chance.random()))
            for n, name in enumerate(names)
        ]

    async def run(self) -> None:
        """Live through every disaster of the plan. Raises TimeoutError where somebody does not catch up."""
        stop, stop_load = asyncio.Event(), asyncio.Event()
        living = [asyncio.create_task(reader.live(stop)) for reader in self._readers]
        async with asyncio.timeout(60):
            for reader in self._readers:
                await reader.subscribed.wait()
        loads = [Load(f"p{n}", self._nodes.port, self.ledger) for n in range(self._plan.publishers)]
        publishing = [
            asyncio.create_task(load.run(self._channels, self._plan.pause_between_publishes_s, stop_load))
            for load in loads
        ]
        await asyncio.sleep(1)
        for disaster in self._chance.sample(list(self._plan.disasters), len(self._plan.disasters)):
            await self._live_through(disaster)
        stop_load.set()
        await asyncio.gather(*publishing)
        await self._catch_up()
        stop.set()
        await asyncio.gather(*living)
        self.seen.check_crossings()
        self._compare()

    def _compare(self) -> None:
        for channel, answered in self.ledger.answered.items():
            for place, message_id in answered.items():
                delivered = self.seen.ids.get((channel, *place))
                if delivered is not None and delivered != message_id:
                    self.seen.different.append(f"{channel} {place}: answered {message_id}, delivered {delivered}")

    async def _live_through(self, disaster: str) -> None:
        before, started = self._figures(), time.monotonic()
        actions: dict[str, Callable[[], Awaitable[None]]] = {
            "kill a node": self._kill_node, "kill Redis": self._kill_redis, "cut a node off": self._cut_node,
            "silence a node": self._silence_node, "pause Redis": self._pause_redis, "roll all nodes": self._roll,
        }  # fmt: skip
        await actions[disaster]()
        mended = time.monotonic()
        await self._catch_up()
        took_s, whole_s = time.monotonic() - mended, time.monotonic() - started
        changes = ", ".join(f"{name} {value - before[name]}" for name, value in self._figures().items())
        self._say(f"{disaster}: {whole_s:.1f} s, everybody caught up {took_s:.1f} s after it was over; {changes}")

    def _figures(self) -> dict[str, int]:
        seen, ledger = self.seen, self.ledger
        return {
            "published": ledger.count, "repeated": ledger.repeats, "delivered": seen.delivered,
            "reconnected": seen.connections, "recovered": seen.recovered, "told of a gap": seen.explicit_gaps,
            "silent gaps": len(seen.silent_gaps), "duplicates": len(seen.duplicates),
        }  # fmt: skip

    async def _catch_up(self) -> None:
        """Everybody has everything that was answered up to now, and goes on."""
        async with asyncio.timeout(45):
            mark = Load(f"mark-{time.monotonic_ns()}", self._nodes.port, self.ledger)
            for reader in self._readers:
                await reader.subscribed.wait()
            for channel in self._channels:
                await mark.publish(channel, f"{mark._name}-{channel}")
            mark.drop()
            tops = dict(self.ledger.top)
            for reader in self._readers:
                channels = [reader.name] if reader.name in tops else self._channels
                for channel in channels:
                    await reader.reach(channel, tops[channel])

    # ── disasters ──

    async def _kill_node(self) -> None:
        server = self._chance.choice(self._nodes.servers)
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(self._plan.length_s / 4)
        await asyncio.to_thread(server.start)

    async def _kill_redis(self) -> None:
        await asyncio.to_thread(self._nodes.redis.kill)
        await asyncio.sleep(self._plan.length_s / 4)
        await asyncio.to_thread(self._nodes.redis.start)

    async def _cut_node(self) -> None:
        proxy = self._chance.choice(self._nodes.proxies)
        proxy.cut()
        await asyncio.sleep(self._plan.length_s / 2)
        proxy.mend()

    async def _silence_node(self) -> None:
        proxy = self._chance.choice(self._nodes.proxies)
        proxy.hush()
        await asyncio.sleep(self._plan.length_s / 2)
        proxy.mend()

    async def _pause_redis(self) -> None:
        self._nodes.redis.pause()
        await asyncio.sleep(self._plan.length_s)
        self._nodes.redis.go_on()

    async def _roll(self) -> None:
        for server in self._nodes.servers:
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            await asyncio.sleep(1)


async def run(plan: Plan, directory: Path, say: Callable[[str], None]) -> tuple[Seen, Ledger]:
    """Start everything, run the plan, stop everything."""
    fsync = "always" if plan.durable else "everysec"
    redis = RedisProcess(directory / "redis", appendonly="yes", appendfsync=fsync).start()
    changes: dict[str, str] = {"redis_durable = false": "redis_durable = true"} if plan.durable else {}
    settings: dict[str, Any] = {"log_level": "warning", "command_rate": 0, "reconnect_spread_s": 1}
    try:
        async with run_nodes(directory, redis, changes, **settings) as nodes:
            one = Run(plan, nodes, say)
            await one.run()
            return one.seen, one.ledger
    finally:
        redis.go_on()
        redis.kill()


def describe(plan: Plan, seen: Seen, ledger: Ledger) -> str:
    """Say in a few lines what happened."""
    return "\n".join(
        [
            f"seed {plan.seed}: 3 nodes, {plan.clients} clients ({plan.wildcards} wildcards), durable {plan.durable}",
            f"  publications answered   {ledger.count} (repeated by id {ledger.repeats} times)",
            f"  deliveries              {seen.delivered} over {seen.connections} connections",
            f"  closed with             {dict(seen.closes)}",
            f"  recovered true / false  {seen.recovered} / {seen.explicit_gaps}, refused for a while {seen.refused}",
            f"  silent gaps             {len(seen.silent_gaps)} {seen.silent_gaps[:3]}",
            f"  duplicates              {len(seen.duplicates)} {seen.duplicates[:3]}",
            f"  published twice         {len(seen.twice)}",
            f"  different content       {len(seen.different)} {seen.different[:3]}",
        ]
    )
