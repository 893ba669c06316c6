"""A session's clock: connecting in time, silence, and the end of a token."""

from __future__ import annotations

import pytest

from tests.support.core import Client, Core


def test_who_does_not_connect_in_time_is_closed() -> None:
    core = Core(secured=True)
    client = core.open()

    core.pass_time(9)
    assert client.peer.closes == []
    core.pass_time(2)

    assert client.peer.take_one()["code"] == "unauthorized"
    assert client.peer.close_code == 4004


def test_who_may_take_longer_than_a_ping_is_closed_in_time_too() -> None:
    core = Core(secured=True, connect_timeout_s=60)
    client = core.open()

    core.pass_time(59)
    assert (client.peer.closes, client.peer.pings) == ([], 0)
    core.pass_time(2)

    assert client.peer.close_code == 4004


def test_who_connects_in_time_stays() -> None:
    core = Core(secured=True)
    client = core.open()
    core.pass_time(9)
    client.say(type="connect", token=core.token("SCOTT"))

    core.pass_time(20)

    assert client.peer.closes == []


def test_in_open_mode_nobody_needs_to_connect() -> None:
    core = Core()
    client = core.open()
    core.pass_time(24)

    assert client.peer.closes == []
    assert client.peer.pings == 0


def stay(core: Core, client: Client, seconds: int) -> None:
    """Let time pass for a client that answers pings."""
    for _ in range(seconds):
        core.pass_time(1)
        client.session.on_heard()


def test_a_ping_is_sent_in_every_interval() -> None:
    core = Core()
    client = core.open()

    stay(core, client, 260)

    assert 9 <= client.peer.pings <= 10
    assert client.peer.closes == []


def test_a_silent_peer_is_closed_after_two_intervals() -> None:
    core = Core()
    client = core.open()

    core.pass_time(49)
    assert client.peer.closes == []
    assert client.peer.pings == 1
    core.pass_time(3)

    assert client.peer.close_code == 4003


def test_a_peer_that_does_not_read_is_not_called_silent() -> None:
    """Its pongs wait behind what it does not read; the edge watches over that with write_timeout_s."""
    core = Core()
    client = core.open()
    client.peer.room = 0

    core.pass_time(200)
    assert client.peer.closes == []
    client.read_on()
    core.pass_time(20)  # it has read by now, and gets its time for an answer
    assert client.peer.closes == []
    core.pass_time(40)

    assert client.peer.close_code == 4003


@pytest.mark.parametrize("late_s", [0.0, 0.5, 0.99])
def test_nobody_is_called_silent_who_was_not_asked(late_s: float) -> None:
    """The clock ticks once a second, so with short intervals two of them may pass before the first ping."""
    core = Core(ping_interval_s=1)
    core.clock.advance(late_s)
    client = core.open()

    while client.peer.pings == 0:
        core.pass_time(1)
        assert client.peer.closes == []
    client.session.on_heard()
    core.pass_time(1)

    assert client.peer.closes == []


def test_the_end_of_a_token_is_told_before_it_comes() -> None:
    core = Core(secured=True)
    client = core.connect("SCOTT", ttl_s=100)
    expires_at = int(core.clock.now()) + 100

    stay(core, client, 38)
    assert client.peer.take() == []
    stay(core, client, 4)
    assert client.peer.take() == [{"type": "expiring", "expiresAt": expires_at}]
    stay(core, client, 57)
    assert client.peer.take() == []
    assert client.peer.closes == []
    stay(core, client, 3)

    assert client.peer.take_one()["code"] == "token_expired"
    assert client.peer.close_code == 4001


def test_a_refresh_in_time_keeps_the_connection() -> None:
    core = Core(secured=True)
    client = core.connect("SCOTT", ttl_s=100)
    stay(core, client, 50)
    assert client.peer.take_one()["type"] == "expiring"

    client.say(type="refresh", token=core.token("SCOTT", ttl_s=200))
    client.peer.take()
    stay(core, client, 135)
    assert client.peer.take() == []
    stay(core, client, 10)
    assert client.peer.take_one()["type"] == "expiring"  # each token has its own warning
    stay(core, client, 60)

    assert client.peer.close_code == 4001


def test_a_token_that_is_short_from_the_start_is_warned_of_at_once() -> None:
    core = Core(secured=True)
    client = core.connect("SCOTT", ttl_s=30)

    stay(core, client, 2)
    assert client.peer.take_one()["type"] == "expiring"
    stay(core, client, 30)

    assert client.peer.close_code == 4001


def test_a_shorter_token_by_refresh_ends_earlier() -> None:
    core = Core(secured=True)
    client = core.connect("SCOTT", ttl_s=3600)
    client.say(type="refresh", token=core.token("SCOTT", ttl_s=5))

    stay(core, client, 7)

    assert client.peer.close_code == 4001


def test_a_connection_ends_with_the_first_of_its_tokens() -> None:
    core = Core(secured=True)
    client = core.open()
    client.say(type="connect", tokens=[core.token("SCOTT", "a", ttl_s=900), core.token("SCOTT", "b", ttl_s=100)])
    expires_at = client.peer.take_one()["expiresAt"]

    stay(core, client, 42)
    assert client.peer.take_one() == {"type": "expiring", "expiresAt": expires_at}
    stay(core, client, 60)

    assert client.peer.close_code == 4001


def test_setting_the_machines_clock_ends_tokens_and_nothing_else() -> None:
    core = Core(secured=True)
    client, other = core.connect("SCOTT", ttl_s=100), core.connect("KING", ttl_s=10_000)
    core.clock.jump(3600)

    for _ in range(30):
        core.pass_time(1)
        client.session.on_heard()
        other.session.on_heard()

    assert client.peer.close_code == 4001
    assert other.peer.closes == []


def test_who_has_ended_is_left_alone_by_the_clock() -> None:
    core = Core(secured=True)
    client = core.connect("SCOTT", ttl_s=30)
    client.session.on_closed()
    client.session.on_closed()

    core.pass_time(200)

    assert (client.peer.take(), client.peer.pings, client.peer.closes) == ([], 0, [])
