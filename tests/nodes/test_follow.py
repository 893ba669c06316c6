"""Subscriptions whose log lies on another machine: what may happen while they wait, and what ends with 4007."""

from __future__ import annotations

import pytest

from apex_rtm.engine.memory import MemoryEngine
from apex_rtm.revocations import Revocation
from tests.support.clock import FakeClock
from tests.support.core import Core, make_journal
from tests.support.distant import DistantEngine


@pytest.fixture
def engine() -> DistantEngine:
    return DistantEngine(MemoryEngine(make_journal(), FakeClock()))


@pytest.fixture
async def core(engine: DistantEngine) -> Core:
    return await Core(engine=engine).start()


@pytest.fixture
async def secured(engine: DistantEngine) -> Core:
    return await Core(engine=engine, secured=True).start()


async def test_a_subscription_waits_and_then_gets_everything_after_its_since(core: Core, engine: DistantEngine) -> None:
    first = await core.publish("a")
    client = core.open()
    since = {"epoch": first.position.epoch, "offset": 1}

    client.say(type="subscribe", channel="a", since=since, id=1)
    assert client.session.is_busy
    assert client.peer.take() == []
    assert engine.waiting[0][:2] == ("a", first.position)
    await core.publish("a")  # arrives before the answer
    engine.answer()
    await core.publish("a")

    answer, *publications = client.peer.take()
    assert (answer["id"], answer["recovered"], answer["offset"]) == (1, True, 1)
    assert [frame["offset"] for frame in publications] == [2, 3]
    assert not client.session.is_busy
    assert client.peer.taken_up == 1


async def test_a_log_that_cannot_be_reached_is_an_error_and_leaves_the_connection(
    core: Core, engine: DistantEngine
) -> None:
    client = core.open()

    client.say(type="subscribe", channel="a", id=7)
    engine.answer("Redis does not answer")

    answer = client.peer.take_one()
    assert (answer["type"], answer["id"], answer["code"]) == ("error", 7, "unavailable")
    assert "Redis does not answer" in answer["message"]
    assert client.peer.taken_up == 1
    assert engine.followed == {}
    client.say(type="subscribe", channel="a", id=8)
    engine.answer()
    assert client.peer.take_one()["type"] == "subscribed"


async def test_a_right_that_is_revoked_while_waiting_is_refused(secured: Core, engine: DistantEngine) -> None:
    client = secured.connect("SCOTT", "a")
    client.say(type="subscribe", channel="a")
    await secured.hub.revoke(Revocation("SCOTT", None, "a", secured.clock.now()))

    engine.answer()

    assert client.peer.take_one()["code"] == "revoked"
    assert engine.followed == {}
    assert not client.session.subscriptions


async def test_a_connection_that_ends_while_waiting_is_not_subscribed(core: Core, engine: DistantEngine) -> None:
    client = core.open()
    client.say(type="subscribe", channel="a")
    client.session.on_closed()

    engine.answer()

    assert client.peer.take() == []
    assert engine.followed == {}
    assert not core.hub.registry.subscribers("a")


async def test_every_end_of_a_subscription_ends_the_following(core: Core, engine: DistantEngine) -> None:
    engine.is_near = True
    first, second = core.open(), core.open()
    for channel in ("a", "b", "x:*"):
        first.subscribe(channel)
    second.subscribe("a")
    assert engine.followed == {"a": 2, "b": 1, "x:*": 1}

    first.ask(type="unsubscribe", channel="b")
    assert engine.followed == {"a": 2, "x:*": 1}
    first.session.on_closed()
    assert engine.followed == {"a": 1}


async def test_an_old_listener_follows_too(core: Core, engine: DistantEngine) -> None:
    client = core.open(old_listener=["a"])

    assert engine.followed == {"a": 1}
    await core.publish("a")
    assert client.peer.take_places() == [("a", 1)]
    client.session.on_closed()
    assert engine.followed == {}


async def test_a_wildcard_is_not_recovered_where_nodes_share_the_log(core: Core, engine: DistantEngine) -> None:
    engine.is_near = True
    first = await core.publish("a")
    since = {"channel": "a", "epoch": first.position.epoch, "offset": 1}

    assert core.open().subscribe("*", since=since)["recovered"] is False
    assert core.open().subscribe("a", since=since)["recovered"] is True


async def test_what_was_lost_closes_those_who_would_have_got_it(core: Core, engine: DistantEngine) -> None:
    engine.is_near = True
    exact, other, wild, wild_elsewhere = (core.open() for _ in range(4))
    exact.subscribe("a")
    other.subscribe("b")
    wild.subscribe("*")
    wild_elsewhere.subscribe("x:*")

    core.hub.on_lost("a")
    assert [c.peer.close_code for c in (exact, other, wild, wild_elsewhere)] == [4007, None, 4007, None]
    core.hub.on_lost(None)
    assert [c.peer.close_code for c in (other, wild_elsewhere)] == [None, 4007]
    assert core.hub.counts.closed_resync == 3
