"""What an answered ping proves, and what it does not."""

from __future__ import annotations

import pytest

from apex_rtm.arrival import Arrival
from apex_rtm.protocol import unframe
from tests.support.core import Client, Core


def answer_ping(client: Client) -> None:
    """Do what a WebSocket does with the last ping."""
    client.session.on_pong(client.peer.ping_payload)


def test_a_pong_proves_what_its_ping_asked() -> None:
    arrival = Arrival()
    first, second = arrival.ask(7), arrival.ask(9)

    arrival.on_pong(unframe(first))
    assert arrival.seq == 7
    arrival.on_pong(unframe(second))
    assert arrival.seq == 9


def test_a_later_answer_stands_for_the_earlier_ones() -> None:
    arrival = Arrival()
    first, second = arrival.ask(7), arrival.ask(9)

    arrival.on_pong(unframe(second))
    arrival.on_pong(unframe(first))

    assert arrival.seq == 9


@pytest.mark.parametrize("payload", [b"", b"8", b"-7", b"7 ", b"hello", b"\xff", b"9" * 100])
def test_a_pong_that_answers_nothing_proves_nothing(payload: bytes) -> None:
    arrival = Arrival()
    arrival.ask(7)

    arrival.on_pong(payload)

    assert arrival.seq == 0


def test_an_answer_counts_once() -> None:
    arrival = Arrival()
    asked = unframe(arrival.ask(7))
    arrival.on_pong(asked)
    arrival.forget()

    arrival.on_pong(asked)

    assert arrival.seq == 0


def test_a_peer_that_never_answers_takes_no_memory() -> None:
    arrival = Arrival()

    for seq in range(1000):
        arrival.ask(seq)

    arrival.on_pong(b"999")
    assert arrival.seq == 0
    arrival.on_pong(b"3")
    assert arrival.seq == 3


# ── in a session ──


async def test_what_was_written_before_the_ping_has_arrived_with_its_answer() -> None:
    core = await Core().start()
    client = core.open()
    client.subscribe("a")
    await core.publish("a")
    client.session.ask_arrival()
    await core.publish("a")

    answer_ping(client)

    assert client.session.arrival.seq == 1
    assert core.hub.fanout.written_seq == 2


async def test_the_usual_ping_asks_as_well() -> None:
    core = await Core().start()
    client = core.open()
    client.subscribe("a")
    await core.publish("a")

    core.pass_time(26)
    answer_ping(client)

    assert (client.peer.pings, client.session.arrival.seq) == (1, 1)


async def test_during_a_replay_nothing_is_proved() -> None:
    """What is asked about is newer than what is being written."""
    core = await Core().start()
    since = core.open().subscribe("a")
    for _ in range(3):
        await core.publish("a")
    client = core.open()
    client.peer.room = 2
    client.say(type="subscribe", channel="a", since={"epoch": since["epoch"], "offset": 0})
    assert client.session.is_busy

    client.session.ask_arrival()
    answer_ping(client)
    assert client.session.arrival.seq == 0

    client.peer.room = None
    client.session.on_writable()
    client.session.ask_arrival()
    answer_ping(client)
    assert client.session.arrival.seq == 3


async def test_a_replay_takes_back_what_was_proved() -> None:
    core = await Core().start()
    first = core.open().subscribe("b")
    for _ in range(2):
        await core.publish("b")
    client = core.open()
    client.subscribe("a")
    client.session.ask_arrival()
    answer_ping(client)
    assert client.session.arrival.seq == 2

    client.say(type="subscribe", channel="b", since={"epoch": first["epoch"], "offset": 0})

    assert client.session.arrival.seq == 0
