"""The relay, the project's own server and PostgreSQL, with `kill -9` of each of them. Prints its figures."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.relay.harness import PostgresHarness, Work, start_cluster
from tests.relay.postgres import Cluster
from tests.relay.process import MODULE, RelayProcess
from tests.relay.storm import Audience, Written, reckon, rows_of, settle, write
from tests.support.server import ServerProcess, run_server
from tests.support.wire import Wire, wire

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
SEED = 20260
WRITERS = 4


@pytest.fixture(scope="module")
def one_cluster() -> Iterator[Cluster]:
    yield from start_cluster()


@pytest.fixture
def cluster(one_cluster: Cluster) -> Cluster:
    one_cluster.create_outbox()
    return one_cluster


class WithRelay(ServerProcess):
    """A server with a relay inside."""

    def __init__(self, data_dir: Path, dsn: str) -> None:
        super().__init__(data_dir, log_level="warning", history_size=20_000, relay_poll_most_s=0.5,
                         relay_reconnect_most_s=1)  # fmt: skip
        self.command = ("-m", MODULE, "serve", dsn)


async def test_relays_and_server_are_killed_under_load(cluster: Cluster, tmp_path: Path) -> None:
    chance, written, stop = random.Random(SEED), Written(), asyncio.Event()
    with run_server(tmp_path / "data", history_size=20_000, log_level="warning") as server:
        relays = [RelayProcess(cluster.dsn, server.url, f"relay{n}") for n in range(2)]
        audience = Audience(server.port)
        await audience.start()
        try:
            for relay in relays:
                await asyncio.to_thread(relay.start)
            writing = [
                asyncio.create_task(write(cluster.dsn, f"w{n}", random.Random(SEED + n), written, stop))
                for n in range(WRITERS)
            ]
            victims: list[RelayProcess | ServerProcess] = [relays[0], server, relays[1], relays[0], server, relays[1]]
            for victim in victims:
                await asyncio.sleep(chance.uniform(0.3, 1.0))
                await asyncio.to_thread(victim.restart)
            stop.set()
            await asyncio.gather(*writing)
            await settle(cluster.dsn, audience)
            codes = [relay.stop() for relay in relays]
        finally:
            for relay in relays:
                relay.kill()
            await audience.stop()
    reckoning = await reckon(cluster.dsn, audience)

    print(f"\n4 x kill -9 of a relay, 2 x of the server, {written.rolled_back} rollbacks, {written.late} late commits")
    print(reckoning.describe())
    reckoning.require_exactly_once()
    assert reckoning.committed > 200
    assert written.rolled_back > 10
    assert not audience.findings.duplicates
    assert not audience.findings.silent_gaps
    assert not audience.findings.explicit_gaps
    assert codes == [0, 0]


async def test_a_server_with_a_relay_inside_is_killed_and_its_database_too(cluster: Cluster, tmp_path: Path) -> None:
    written, stop = Written(), asyncio.Event()
    server = WithRelay(tmp_path / "data", cluster.dsn)
    server.start()
    audience = Audience(server.port)
    await audience.start()
    try:
        writing = [
            asyncio.create_task(write(cluster.dsn, f"w{n}", random.Random(SEED + n), written, stop))
            for n in range(WRITERS)
        ]
        for _ in range(3):
            await asyncio.sleep(0.7)
            await asyncio.to_thread(server.restart)
        answers = 0
        await asyncio.to_thread(cluster.crash)
        async with httpx.AsyncClient(base_url=server.url) as http:
            for number in range(20):
                posted = await http.post("/api/broadcast", json={"channel": "elsewhere", "payload": number}, timeout=2)
                answers += posted.status_code == 200
                assert (await http.get("/health/ready", timeout=2)).status_code == 200
        await asyncio.to_thread(cluster.restart)
        await asyncio.sleep(0.5)
        stop.set()
        await asyncio.gather(*writing)
        await settle(cluster.dsn, audience)
        assert server.stop() == 0
    except BaseException:
        server.kill()
        print("".join(server.log[-20:]))
        raise
    finally:
        server.kill()
        await audience.stop()
    reckoning = await reckon(cluster.dsn, audience)

    print(f"\n3 x kill -9 of the server with its relay, 1 crash of the database ({answers} of 20 posts answered)")
    print(reckoning.describe())
    reckoning.require_exactly_once()
    assert reckoning.committed > 100
    assert not audience.findings.silent_gaps
    assert not audience.findings.explicit_gaps
    assert answers == 20


async def test_poison_is_parked_and_the_others_arrive(cluster: Cluster, tmp_path: Path) -> None:
    harness = PostgresHarness(cluster)
    async with harness.begin() as work:
        await work.insert("orders", "good1")
        await work.insert("orders", "poison", payload="1},{")
        await work.insert("orders", "good2")
        await work.commit()
    with run_server(tmp_path / "data") as server:
        async with wire(server.ws_url) as subscriber:
            await subscriber.subscribe("orders")
            relay = RelayProcess(cluster.dsn, server.url, "relay")
            relay.start()
            try:
                assert [p["id"] for p in await subscriber.publications(2)] == ["good1", "good2"]
            finally:
                relay.stop()
    log = [json.loads(line) for line in relay.log if line.startswith("{")]
    refused = [entry for entry in log if entry["event"] == "row.refused"]
    assert refused[0]["attempts"] == 1
    assert "payload is not one JSON value" in refused[0]["error"]
    assert [(m, status) for m, _, status, _, _ in await rows_of(cluster.dsn)] == [
        ("good1", "SENT"), ("poison", "PENDING"), ("good2", "SENT"),
    ]  # fmt: skip


@pytest.mark.parametrize("wakes", [True, False], ids=["woken", "polling"])
async def test_latency_from_commit_to_subscriber(cluster: Cluster, tmp_path: Path, wakes: bool) -> None:
    harness = PostgresHarness(cluster)
    with run_server(tmp_path / "data") as server:
        relay = RelayProcess(cluster.dsn, server.url, "relay", wakes=wakes)
        relay.start()
        try:
            async with wire(server.ws_url) as subscriber, harness.begin() as work:
                await subscriber.subscribe("orders")
                latencies_ms = [await _send_one(subscriber, work, number) * 1000 for number in range(60)]
        finally:
            relay.stop()
    cuts = statistics.quantiles(latencies_ms[10:], n=20)
    how = "woken" if wakes else "polling every 50 to 500 ms"
    print(f"\n{how}: commit to subscriber, p50 {cuts[9]:.0f} ms, p95 {cuts[18]:.0f} ms")
    assert cuts[9] < (200 if wakes else 1000)


async def _send_one(subscriber: Wire, work: Work, number: int) -> float:
    await work.insert("orders", f"m{number}", payload=str(number))
    await work.commit()
    committed = time.monotonic()
    (publication,) = await subscriber.publications(1)
    assert publication["payload"] == number
    return time.monotonic() - committed
