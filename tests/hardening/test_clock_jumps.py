"""The machine's clock is set, by an administrator or by NTP after a suspend: nothing may stop, double or open up."""

from __future__ import annotations

from pathlib import Path

import pytest

from apex_rtm.message import Position
from apex_rtm.revocations import Revocation
from tests.support.clock import FakeClock
from tests.support.core import Core
from tests.support.engines import Engines, Kind

HOUR_S = 3600.0


@pytest.mark.parametrize("jump_s", [-24 * HOUR_S, -1, 1, 24 * HOUR_S, 20 * 365 * 24 * HOUR_S])
async def test_delivery_order_and_offsets_do_not_depend_on_the_clock(jump_s: float) -> None:
    """Positions made of time go back with the clock: the same offset twice, and a client that believes it has it."""
    core = await Core().start()
    client = core.open()
    client.subscribe("test")
    for _ in range(3):
        await core.publish("test")
        core.clock.jump(jump_s)
    assert client.peer.take_places() == [("test", 1), ("test", 2), ("test", 3)]


@pytest.mark.parametrize("jump_s", [-HOUR_S, HOUR_S])
async def test_pings_timeouts_and_silence_are_measured_by_another_clock(jump_s: float) -> None:
    """A jump of an hour must not look like an hour of silence: every connection would be closed at once."""
    core = await Core().start()
    client = core.open()
    core.pass_time(20)
    core.clock.jump(jump_s)
    core.pass_time(10)
    assert client.peer.close_code is None
    assert client.peer.pings == 1


async def test_a_clock_set_forward_ends_tokens_and_set_back_does_not_revive_the_connection() -> None:
    """Tokens end by the wall clock; a connection that was closed for it stays closed when the clock is corrected."""
    core = await Core(secured=True).start()
    client = core.connect("SCOTT", "test", ttl_s=600)
    client.subscribe("test")
    core.clock.jump(HOUR_S)
    core.pass_time(60)
    assert client.peer.close_code == 4001
    core.clock.jump(-HOUR_S)
    client.peer.take()
    await core.publish("test")
    assert client.peer.take() == []


async def test_a_clock_set_back_does_not_make_tokens_live_longer_than_the_longest() -> None:
    """With the clock a day behind, yesterday's token would be good again; one issued in the future is refused."""
    core = await Core(secured=True).start()
    token = core.token("SCOTT", "test", ttl_s=600)
    core.clock.jump(-24 * HOUR_S)
    client = core.open()
    client.say(type="connect", token=token)
    assert client.peer.take()[0]["code"] == "unauthorized"
    assert client.peer.close_code == 4501


async def test_a_revocation_holds_over_a_clock_set_back() -> None:
    """A revocation noted at noon must stop a token of eleven, whatever the clock says in between."""
    core = await Core(secured=True).start()
    old = core.token("SCOTT", "test")
    core.clock.advance(2)
    await core.hub.revoke(Revocation("SCOTT", None, None, core.clock.now()))
    core.clock.jump(-1)
    core.revocations.tidy(core.clock.now())
    client = core.open()
    client.say(type="connect", token=old)
    assert client.peer.take()[0]["code"] == "revoked"


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_what_a_forward_jump_drops_is_admitted_and_numbering_goes_on(kind: Kind, tmp_path: Path) -> None:
    """A day ahead, retention empties the log. Who comes back must be told so, and no offset may come twice."""
    engines = Engines(kind, tmp_path)
    engine = engines.make(ttl_s=HOUR_S, channel_ttl_s=HOUR_S)
    core = await Core(engine=engine, clock=engines.clock).start()
    before = await core.publish("test")
    await core.publish("test")
    engines.clock.jump(24 * HOUR_S)
    for _ in range(3):
        await engine.tidy()
    client = core.open()
    since = {"epoch": before.position.epoch, "offset": before.position.offset}
    assert client.subscribe("test", since=since)["recovered"] is False
    engines.clock.jump(-24 * HOUR_S)
    after = await core.publish("test")
    assert after.position.epoch != before.position.epoch or after.position.offset == 3
    assert client.peer.take_places() == [("test", after.position.offset)]
    await engine.stop()


async def test_an_idempotent_repeat_is_recognized_over_a_clock_set_back() -> None:
    """A retry that straddles a correction of the clock must not be delivered twice."""
    clock = FakeClock()
    core = await Core(clock=clock).start()
    first = await core.publish("test", message_id="order-17")
    clock.jump(-HOUR_S)
    again = await core.publish("test", message_id="order-17")
    assert (again.repeated, again.position) == (True, Position(*first.position))


async def test_a_clock_that_stood_in_the_future_at_the_last_stop_does_no_harm(tmp_path: Path) -> None:
    """Everything in the file is from tomorrow: it must neither be dropped nor kept for ever, and publishing goes on."""
    engines = Engines("sqlite", tmp_path)
    engines.clock.jump(24 * HOUR_S)
    engine = engines.make(ttl_s=HOUR_S, channel_ttl_s=1000 * HOUR_S)
    core = await Core(engine=engine, clock=engines.clock).start()
    first = await core.publish("test", message_id="a")
    await engine.stop()
    engines.clock.jump(-24 * HOUR_S)
    engine = engines.make(ttl_s=HOUR_S, channel_ttl_s=1000 * HOUR_S)
    core = await Core(engine=engine, clock=engines.clock).start()
    await engine.tidy()
    client = core.open()
    since = {"epoch": first.position.epoch, "offset": 0}
    client.subscribe("test", since=since)
    await core.publish("test", message_id="b")
    assert client.peer.take_places() == [("test", 1), ("test", 2)]
    engines.clock.jump(26 * HOUR_S)
    await engine.tidy()
    assert not engine.journal.channels["test"].entries
    await engine.stop()
