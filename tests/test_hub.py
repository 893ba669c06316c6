"""The centre: each publication to everybody who may see it, wake-ups, and rights that end."""

from __future__ import annotations

from typing import cast

import pytest

from apex_rtm.engine.memory import MemoryEngine
from apex_rtm.errors import Unavailable
from apex_rtm.revocations import Revocation
from apex_rtm.session import Session
from tests.support.clock import FakeClock
from tests.support.core import Core, make_journal, make_message
from tests.support.fault import FaultyEngine


async def test_everybody_gets_the_very_same_bytes() -> None:
    """A publication is encoded once, however many subscribers it has."""
    core = await Core().start()
    frames: list[bytes] = []
    for _ in range(3):
        client = core.open()
        client.subscribe("a")
        client.session.send = frames.append

    await core.publish("a")

    assert len(frames) == 3
    assert all(frame is frames[0] for frame in frames)
    assert (core.hub.counts.publications, core.fanout.counts.deliveries) == (1, 3)


async def test_messages_that_were_published_together_are_delivered_in_their_order() -> None:
    core = await Core().start()
    client = core.open()
    client.subscribe("*")

    await core.engine.publish([make_message(channel) for channel in "abca"])

    assert client.peer.take_places() == [("a", 1), ("b", 1), ("c", 1), ("a", 2)]
    assert core.hub.counts.publications == 4


async def test_who_ends_during_a_delivery_does_not_stop_it() -> None:
    core = await Core().start()
    first, second = core.open(), core.open()
    for client in (first, second):
        client.subscribe("a")
    first.session.send = lambda _frame: first.session.on_stalled()

    await core.publish("a")
    await core.publish("a")

    assert second.peer.take_places() == [("a", 1), ("a", 2)]
    assert first.peer.close_code == 4002


async def test_without_subscribers_nothing_is_delivered() -> None:
    core = await Core().start()

    await core.publish("a")

    assert (core.hub.counts.publications, core.fanout.counts.deliveries) == (1, 0)


# ── wake-ups ──


class Sleeper:
    """What the hub sees of a session that waits."""

    def __init__(self) -> None:
        self.woken_at: list[float] = []

    def on_time(self, now: float) -> None:
        self.woken_at.append(now)


def calls_of(core: Core, *moments: float) -> list[float]:
    """When a session is woken that asked for these moments, counted in seconds from now."""
    sleeper, start = Sleeper(), core.clock.monotonic()
    for moment in moments:
        core.hub.wake(cast(Session, sleeper), start + moment)
    core.pass_time(20)
    return [moment - start for moment in sleeper.woken_at]


def test_a_session_is_woken_at_the_first_tick_after_its_time() -> None:
    assert calls_of(Core(), 3.0) == [4]
    assert calls_of(Core(), 3.5) == [4]
    assert calls_of(Core(), 0.0) == [1]
    assert calls_of(Core(), -100.0) == [1]  # what is overdue comes with the next tick, not with the one under way
    assert calls_of(Core(), 5.0, 2.0, 2.2) == [3, 3, 6]
    assert calls_of(Core(), 30.0) == []


def test_ticks_that_come_late_wake_everybody_in_order() -> None:
    core = Core(secured=True)
    early, late = core.open(), core.open()
    core.clock.advance(60)

    core.hub.tick(core.clock.monotonic())

    assert early.peer.close_code == late.peer.close_code == 4004
    assert core.hub._due == {}


def test_a_session_may_ask_to_be_woken_while_it_is_woken() -> None:
    core = Core()
    client = core.open()

    for _ in range(40):
        core.pass_time(1)
        client.session.on_heard()

    assert client.peer.pings == 1
    assert sum(map(len, core.hub._due.values())) == 1


# ── rights ──


async def test_revoking_a_user_ends_their_connections_and_no_others() -> None:
    core = await Core(secured=True).start()
    first, second, other, nobody = core.connect("SCOTT"), core.connect("SCOTT"), core.connect("KING"), core.open()

    assert await core.hub.revoke(Revocation("SCOTT", None, None, core.clock.now())) == (2, 0)

    for client in (first, second):
        frame = client.peer.take_one()
        assert (frame["type"], frame["code"]) == ("error", "revoked")
        assert client.peer.close_code == 4503
    assert other.peer.closes == nobody.peer.closes == []
    again = core.open()
    again.say(type="connect", token=core.token("SCOTT"))
    assert again.peer.close_code == 4503
    core.clock.advance(1)
    core.connect("SCOTT")  # with a token of the next second


async def test_revoking_a_session_ends_that_session() -> None:
    core = await Core(secured=True).start()
    one, two = core.connect("SCOTT", session_id="1"), core.connect("SCOTT", session_id="2")

    assert await core.hub.revoke(Revocation("SCOTT", "1", None, core.clock.now())) == (1, 0)

    assert (one.peer.close_code, two.peer.close_code) == (4503, None)


async def test_revoking_a_channel_ends_subscriptions_and_leaves_the_connection() -> None:
    core = await Core(secured=True).start()
    scott, king = core.connect("SCOTT", "*"), core.connect("KING", "*")
    for client in (scott, king):
        client.subscribe("a")
        client.subscribe("*")

    assert await core.hub.revoke(Revocation("SCOTT", None, "a", core.clock.now())) == (0, 2)

    assert [frame["code"] for frame in scott.peer.take()] == ["revoked", "revoked"]
    await core.publish("a")
    assert scott.peer.take() == []
    assert king.peer.take_places() == [("a", 1)]
    assert scott.ask(type="subscribe", channel="a")["code"] == "revoked"
    assert scott.ask(type="subscribe", channel="b")["type"] == "subscribed"


async def test_a_revocation_is_in_force_even_where_it_cannot_be_written() -> None:
    """The caller is told and tries again; until then nobody may slip in."""
    engine = FaultyEngine(MemoryEngine(make_journal(), FakeClock()))
    core = await Core(secured=True, engine=engine).start()
    client = core.connect("SCOTT")
    engine.trouble = "the disk is full"

    with pytest.raises(Unavailable):
        await core.hub.revoke(Revocation("SCOTT", None, None, core.clock.now()))

    assert client.peer.close_code == 4503
    again = core.open()
    again.say(type="connect", token=core.token("SCOTT"))
    assert again.peer.close_code == 4503


async def test_in_open_mode_a_revocation_names_everybody_or_nobody() -> None:
    core = await Core().start()
    client = core.open()
    client.subscribe("a")

    assert await core.hub.revoke(Revocation("SCOTT", None, "a", core.clock.now())) == (0, 0)
    assert await core.hub.revoke(Revocation(None, None, "a", core.clock.now())) == (0, 1)
