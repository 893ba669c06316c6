"""The load generator counts what really arrives. It is compiled with gcc and talks to the smallest of the servers."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator

import pytest
from bench.contestants import LIMIT
from bench.generator import LoadFailed
from bench.peer import Server, batch_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("gcc") is None, reason="the load generator is written in C and gcc is not installed"
    ),
]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(LIMIT) as running:
        yield running


@pytest.mark.parametrize("load", [{"window": 1}, {"window": 8, "publishers": 8}, {"rate": 200, "publishers": 2}])
def test_every_delivery_is_counted_once_with_its_latency(server: Server, load: dict[str, int]) -> None:
    server.subscribe(20)
    answer = server.publish(50, **load)  # type: ignore[arg-type]
    assert (answer["deliveries"], answer["least"], answer["most"]) == (1000, 50, 50)
    assert answer["answered"] == 50
    assert 0 < answer["p50_us"] <= answer["p99_us"] <= answer["max_us"]
    assert answer["server_cpu_s"] > 0
    assert answer["own_cpu_s"] > 0


def test_a_delivery_too_few_is_a_failure(server: Server) -> None:
    server.subscribe(3)
    with pytest.raises(LoadFailed, match="5 publications were answered, 15 deliveries, 5 to 5 for"):
        server.publish(5, fanout=4, hasty=1, patience=0.2)


def test_a_delivery_too_many_is_a_failure(server: Server) -> None:
    server.subscribe(3)
    with pytest.raises(LoadFailed, match="15 deliveries, 5 to 5 for each"):
        server.publish(5, fanout=2)


def test_long_messages_arrive_in_parts_and_count_once(server: Server) -> None:
    server.subscribe(4)
    answer = server.publish(5, server.peer.body(value_bytes=300_000))
    assert answer["deliveries"] == 20
    assert answer["bytes"] > 20 * 300_000


def test_a_body_must_have_a_time_stamp_for_each_of_its_messages(server: Server) -> None:
    server.subscribe(1)
    with pytest.raises(LoadFailed, match="time stamps"):
        server.publish(1, batch_of(server.peer.body(), 3), batch=2)


def test_a_server_that_is_gone_is_a_failure(server: Server) -> None:
    server.subscribe(2)
    pid = server.pids[0]

    os.kill(pid, signal.SIGKILL)
    with pytest.raises(LoadFailed):
        server.publish(3, patience=0.5)
