"""Subscriptions that have ended, kept for a while."""

from __future__ import annotations

from apex_rtm.departures import Departures
from tests.support.core import Core


def core_with_room(room: int, *, secured: bool = False) -> Core:
    core = Core(secured=secured)
    core.hub.departures = Departures(room, core.clock)
    return core


async def test_what_a_connection_was_written_is_known_after_its_end() -> None:
    core = await core_with_room(10, secured=True).start()
    await core.publish("a")
    scott = core.connect("SCOTT", "a*", session_id="17")
    scott.subscribe("a*")
    await core.publish("a")
    core.clock.advance(5)
    scott.session.on_closed()
    await core.publish("a")

    (departure,) = core.hub.departures.of("a", 2)
    assert (departure.user, departure.session_id, departure.ip) == ("SCOTT", "17", "192.0.2.1")
    assert (departure.start_seq, departure.end_seq, departure.at) == (1, 2, core.clock.now())
    assert departure.connection == scott.session.id
    assert [list(core.hub.departures.of("a", seq)) for seq in (1, 3)] == [[], []]
    assert list(core.hub.departures.of("b", 2)) == []


async def test_a_subscription_that_ends_by_itself_departs_too() -> None:
    core = await core_with_room(10).start()
    client = core.open()
    client.subscribe("a")
    await core.publish("a")
    client.peer.take()
    client.ask(type="unsubscribe", channel="a")

    assert [departure.end_seq for departure in core.hub.departures.of("a", 1)] == [1]


async def test_a_replay_that_was_cut_short_claims_nothing() -> None:
    core = await core_with_room(10).start()
    since = core.open().subscribe("a")
    for _ in range(3):
        await core.publish("a")
    client = core.open()
    client.peer.room = 1
    client.say(type="subscribe", channel="a", since={"epoch": since["epoch"], "offset": 0})
    client.session.on_closed()

    assert [list(core.hub.departures.of("a", seq)) for seq in (1, 2, 3)] == [[], [], []]


async def test_the_oldest_go_first_and_one_is_told_so() -> None:
    core = await core_with_room(2).start()
    clients = [core.open() for _ in range(3)]
    for client in clients:
        client.subscribe("a")
    await core.publish("a")
    for client in clients[:1]:
        client.session.on_closed()
    assert core.hub.departures.since is None
    core.clock.advance(3)
    for client in clients[1:]:
        client.session.on_closed()

    kept = [departure.connection for departure in core.hub.departures.of("a", 1)]
    assert kept == [clients[2].session.id, clients[1].session.id]
    assert core.hub.departures.since == core.clock.now()


async def test_without_a_console_nothing_is_kept() -> None:
    core = await Core().start()
    client = core.open()
    client.subscribe("a")
    await core.publish("a")

    client.session.on_closed()

    assert not core.hub.departures
    assert list(core.hub.departures.of("a", 1)) == []
