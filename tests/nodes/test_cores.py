"""Whole servers without sockets on one Redis: presence, rights and questions reach every node."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from apex_rtm.engine.redis import nodes as nodes_module
from apex_rtm.engine.redis.engine import RedisEngine
from apex_rtm.engine.redis.layout import Layout
from apex_rtm.overview import history_of
from apex_rtm.redis_url import parse_target
from apex_rtm.revocations import Revocation
from apex_rtm.survey import answer, ask_channels, ask_connections, ask_presence, revoke_everywhere, whole_log
from tests.support.core import Client, Core, make_journal
from tests.support.redis import RedisProcess

pytestmark = pytest.mark.slow


class Servers:
    """Starts servers on one Redis."""

    def __init__(self, redis: RedisProcess) -> None:
        self.redis = redis
        self.running: list[Core] = []

    async def start(self) -> Core:
        core = Core(secured=True)
        journal = make_journal()
        engine = RedisEngine(
            parse_target(self.redis.url), Layout("rtm", 4), journal, journal._retention, core.clock,
            channel_ttl_s=1000, idempotency_window_s=300, revocation_keep_s=1000, max_waiting=100, timeout_s=2,
            durable=False, has_presence=lambda channel: channel.startswith("chat:"),
        )  # fmt: skip
        core = Core(secured=True, engine=engine, clock=core.clock)
        core.hub.answer = lambda question: answer(core.hub, question)
        await core.start()
        for revocation in engine.revocations():
            core.revocations.add(revocation)
        self.running.append(core)
        return core

    async def stop(self, core: Core) -> None:
        self.running.remove(core)
        await core.engine.stop()

    async def close(self) -> None:
        for core in list(self.running):
            await self.stop(core)
        self.redis.kill()


@pytest.fixture
async def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Servers]:
    monkeypatch.setattr(nodes_module, "BEAT_S", 0.1)
    monkeypatch.setattr(nodes_module, "_LEASE_MS", 1000)
    made = Servers(RedisProcess(tmp_path / "redis").start())
    yield made
    await made.close()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - the nodes have no event for tests
            await asyncio.sleep(0.01)


async def subscribe(client: Client, channel: str, **members: Any) -> dict[str, Any]:
    """Subscribe and wait for the answer, which comes from another machine."""
    client.say(type="subscribe", channel=channel, **members)
    await until(lambda: bool(client.peer.frames))
    frame = client.peer.frames.pop(0)
    assert frame["type"] == "subscribed", frame
    return frame


def known_others(core: Core) -> int:
    assert isinstance(core.engine, RedisEngine)
    return len(core.engine._nodes._others)


async def meet(*cores: Core) -> None:
    """Wait until every node knows of the others."""
    await until(lambda: all(known_others(core) == len(cores) - 1 for core in cores))


async def test_a_publication_reaches_a_session_of_another_node_and_is_recovered_there(servers: Servers) -> None:
    one, two = await servers.start(), await servers.start()
    scott = one.connect("SCOTT", "a")
    first = await subscribe(scott, "a")

    await two.publish("a", {"n": 1})
    await until(lambda: bool(scott.peer.frames))
    assert scott.peer.take_places() == [("a", 1)]
    await two.publish("a", {"n": 2})

    elsewhere = two.connect("SCOTT", "a")
    answered = await subscribe(elsewhere, "a", since={"epoch": first["epoch"], "offset": 0})
    assert answered["recovered"] is True
    assert elsewhere.peer.take_places() == [("a", 1), ("a", 2)]


async def test_a_right_that_is_revoked_on_one_node_ends_on_all(servers: Servers) -> None:
    one, two = await servers.start(), await servers.start()
    await meet(one, two)
    here, there = one.connect("SCOTT", "a"), two.connect("SCOTT", "a")
    other = two.connect("KING", "a")
    for client in (here, there, other):
        await subscribe(client, "a")

    ended = await revoke_everywhere(one.hub, Revocation(None, None, "a", one.clock.now()))
    assert ended == (0, 3)
    assert there.peer.take_one() == {"type": "unsubscribed", "channel": "a", "code": "revoked"}
    ended = await revoke_everywhere(one.hub, Revocation("SCOTT", None, None, one.clock.now()))

    assert ended == (2, 0)
    assert [client.peer.close_code for client in (here, there, other)] == [4503, 4503, None]
    again = two.open()
    again.say(type="connect", token=two.token("SCOTT", "a"))
    assert again.peer.take()[0]["code"] == "revoked"


async def test_a_node_that_starts_later_knows_what_was_revoked(servers: Servers) -> None:
    one = await servers.start()
    await revoke_everywhere(one.hub, Revocation("SCOTT", "17", "a", one.clock.now()))
    await revoke_everywhere(one.hub, Revocation("OLD", None, None, one.clock.now() - 2000))

    two = await servers.start()

    assert two.engine.revocations() == [Revocation("SCOTT", "17", "a", one.clock.now())]


async def test_a_revocation_that_nobody_was_told_of_is_found(servers: Servers) -> None:
    one, two = await servers.start(), await servers.start()
    scott = two.connect("SCOTT", "a")

    await one.engine.revoke(Revocation("SCOTT", None, None, one.clock.now()))

    await until(lambda: scott.peer.close_code == 4503)
    assert one.revocations.knows(Revocation("SCOTT", None, None, one.clock.now()))


async def test_presence_counts_everybody_on_every_node(servers: Servers) -> None:
    one, two = await servers.start(), await servers.start()
    scott = one.connect("SCOTT", "chat:*")
    await subscribe(scott, "chat:a", presence=True)
    one.hub.presence.flush()
    scott.peer.take()

    king = two.connect("KING", "chat:*")
    answered = await subscribe(king, "chat:a", presence=True)
    two.hub.presence.flush()
    attendance = one.hub.presence._channels["chat:a"]
    await until(lambda: attendance.connections == 2)
    one.hub.presence.flush()

    assert answered["presence"] == {"connections": 2, "users": {"SCOTT": 1, "KING": 1}}
    news = scott.peer.take_one()
    assert (news["connections"], news["users"], news["joined"], news["left"]) == (2, 2, ["KING"], [])

    king.session.on_closed()
    two.hub.presence.flush()
    await until(lambda: attendance.connections == 1)
    one.hub.presence.flush()
    assert scott.peer.take_one()["left"] == ["KING"]


@pytest.mark.parametrize("is_orderly", [True, False])
async def test_whoever_was_there_through_a_node_that_is_gone_is_counted_out(servers: Servers, is_orderly: bool) -> None:
    one, two = await servers.start(), await servers.start()
    await meet(one, two)
    await subscribe(one.connect("SCOTT", "chat:*"), "chat:a", presence=True)
    await subscribe(two.connect("KING", "chat:*"), "chat:a", presence=True)
    two.hub.presence.flush()
    attendance = one.hub.presence._channels["chat:a"]
    await until(lambda: attendance.connections == 2)

    if is_orderly:
        await servers.stop(two)
    else:
        assert isinstance(two.engine, RedisEngine)
        for task in two.engine._tasks:  # the lease is no longer renewed
            task.cancel()

    await until(lambda: attendance.connections == 1)
    assert attendance.users == {"SCOTT": 1}


async def test_presence_survives_a_redis_that_forgot_it(servers: Servers) -> None:
    one, two = await servers.start(), await servers.start()
    await subscribe(one.connect("SCOTT", "chat:*"), "chat:a", presence=True)
    one.hub.presence.flush()

    servers.redis.kill()
    servers.redis.start()
    await until(lambda: one.engine.trouble is None and two.engine.trouble is None)
    await until(lambda: b"chat:a" in servers.redis.ask("KEYS", "rtm:*:w:*"))
    answered = await subscribe(two.connect("KING", "chat:*"), "chat:a", presence=True)

    assert answered["presence"]["users"] == {"SCOTT": 1, "KING": 1}


async def test_operators_see_all_nodes(servers: Servers) -> None:
    one, two, three = [await servers.start() for _ in range(3)]
    await meet(one, two, three)
    for core, user in ((one, "SCOTT"), (two, "KING"), (three, "KING")):
        await subscribe(core.connect(user, "a", "b:*"), "a")
    await one.publish("a", 1)

    connections = await ask_connections(one.hub, None, "a", 10)
    assert (connections["total"], len(connections["connections"]), connections["more"]) == (3, 3, False)
    assert connections["nodes"] == {"asked": 3, "answered": 3}
    assert len((await ask_connections(one.hub, "KING", None, 1))["connections"]) == 1
    presence = await ask_presence(two.hub, "a")
    assert (presence["connections"], presence["users"]) == (3, {"SCOTT": 1, "KING": 2})
    (channel,) = (await ask_channels(three.hub, "", 10))["channels"]
    assert (channel["channel"], channel["subscribers"], channel["offset"]) == ("a", 3, 1)


async def test_a_node_that_does_not_answer_is_counted_as_missing(servers: Servers) -> None:
    one, two = await servers.start(), await servers.start()
    await meet(one, two)
    two.hub.answer = lambda _: json.dumps(None).encode()

    assert (await ask_connections(one.hub, None, None, 10))["nodes"] == {"asked": 2, "answered": 1}


async def test_the_history_of_a_channel_is_read_on_any_node(servers: Servers) -> None:
    one, two = await servers.start(), await servers.start()
    for number in range(3):
        await one.publish("a", number)

    async with whole_log(two.hub, "a"):
        history = history_of(two.hub, "a", None, 0, 10)

    assert [json.loads(bytes(p))["payload"] for p in history["publications"]] == [0, 1, 2]
    assert history["offset"] == 3
