"""What Redis keeps for how long, and what a node does about a refusal: on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apex_rtm.channels import parse_pattern
from apex_rtm.engine.redis import engine as engine_module
from apex_rtm.engine.redis.scripts import Scripts
from tests.support.engines import follow, publish
from tests.support.shared_log import SharedLog

pytestmark = pytest.mark.slow
A = parse_pattern("a")


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SharedLog]:
    made = SharedLog(tmp_path / "redis")
    made.redis.start()
    yield made
    await made.close()


def left_ms(log: SharedLog, key: str) -> int:
    return int(log.redis.ask("PTTL", key)[1:])


async def test_a_channel_that_is_always_in_use_is_never_forgotten(log: SharedLog) -> None:
    """Its keys are prolonged now and then, also where no pause is ever long."""
    one = await log.node()
    layout = one.engine._layout
    await publish(one.engine, "a")
    keys = (layout.meta_key("a"), layout.stream_key("a"))
    for key in keys:
        log.redis.ask("PEXPIRE", key, "60000")

    for _ in range(3):
        log.clock.advance(100)
        await publish(one.engine, "a")

    assert [left_ms(log, key) > 600_000 for key in keys] == [True, True]


async def test_a_log_that_was_dropped_while_in_use_does_not_stay_for_ever(log: SharedLog) -> None:
    one = await log.node()
    key = one.engine._layout.stream_key("a")
    await publish(one.engine, "a")
    log.redis.ask("DEL", key)

    for _ in range(3):
        log.clock.advance(100)
        await publish(one.engine, "a")

    assert left_ms(log, key) > 0


async def test_readings_load_scripts_that_were_flushed(log: SharedLog) -> None:
    one = await log.node()
    log.redis.ask("SCRIPT", "FLUSH")

    await follow(one.engine, "a")


async def test_one_channel_that_cannot_be_read_does_not_keep_the_others_waiting(log: SharedLog) -> None:
    one = await log.node()
    log.redis.ask("SET", one.engine._layout.meta_key("a"), "no hash")
    one.engine.follow(A, None, lambda _: None)

    await follow(one.engine, "b")


async def test_a_channel_that_is_let_go_while_it_is_being_subscribed_to_can_be_followed_again(
    log: SharedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await log.node()
    monkeypatch.setattr(engine_module, "_LINGER_S", -1.0)
    topic = one.engine._layout.topic("a")
    server = one.engine._servers.of(one.engine._layout.partition("a")).server
    await one.until(lambda: server.topics.is_up)
    one.proxy.hush()
    one.engine.follow(A, None, lambda _: None)
    await one.until(lambda: topic.encode() in server.topics._awaited)
    one.engine.unfollow(A)
    await one.engine.tidy()
    one.proxy._open.set()
    await one.until(lambda: topic.encode() not in server.topics._awaited)
    await one.until(lambda: log.redis.ask("PUBSUB", "NUMSUB", topic).endswith(b":0\r\n"))

    await follow(one.engine, "a")

    assert log.redis.ask("PUBSUB", "NUMSUB", topic).endswith(b":1\r\n")


async def test_a_quiet_channel_is_not_forgotten_while_it_is_followed(
    log: SharedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await log.node()
    await publish(one.engine, "a")
    await follow(one.engine, "a")
    server = one.engine._servers.of(one.engine._layout.partition("a"))
    key = one.engine._layout.meta_key("a")
    while left_ms(log, key) > 60_000:  # until no reading of the beginning is under way
        log.redis.ask("PEXPIRE", key, "60000")
        await server.audit()

    monkeypatch.setattr(Scripts, "renew_s", 0.0)  # so much time has passed

    await one.until(lambda: left_ms(log, key) > 600_000)


async def test_a_channel_that_was_only_asked_for_is_soon_forgotten(log: SharedLog) -> None:
    """Who invents names may fill Redis with them otherwise, each for as long as a channel that is used."""
    one = await log.node()
    one.engine._scripts._channel_ttl_ms = 86_400_000
    await follow(one.engine, "a")
    assert 0 < left_ms(log, one.engine._layout.meta_key("a")) <= 4_200_000

    await publish(one.engine, "a")
    assert left_ms(log, one.engine._layout.meta_key("a")) > 86_400_000


async def test_a_quiet_connection_is_asked_before_it_is_given_up(log: SharedLog) -> None:
    """However short `redis_timeout_s` is: wildcards would be sent away every few seconds."""
    one = await log.node(timeout_s=1.0)
    await follow(one.engine, "*")

    await asyncio.sleep(5)  # silence is what is shown here

    assert one.listener.lost == []
