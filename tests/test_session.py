"""One client's conversation: every command, every refusal, and every way to end. Its clock: test_session_time.py."""

from __future__ import annotations

from typing import Any

import pytest

from apex_rtm.revocations import Revocation
from tests.support.core import Core
from tests.support.server import JWT_SECRET
from tests.support.tokens import make_token


def error(answer: dict[str, Any]) -> tuple[str, Any]:
    assert answer["type"] == "error", answer
    assert answer["message"]
    return answer["code"], answer.get("id")


# ── connect ──


def test_connect_says_who_one_is_and_what_one_may_have() -> None:
    core = Core(secured=True)
    client = core.open()

    answer = client.ask(type="connect", token=core.token("SCOTT", "app:*", ttl_s=600), id=1)

    assert answer == {
        "type": "connected", "id": 1, "connection": client.session.id, "user": "SCOTT",
        "channels": ["user:SCOTT", "app:*"], "expiresAt": int(core.clock.now()) + 600, "pingIntervalS": 25,
    }  # fmt: skip
    assert core.hub.sessions == {client.session.id: client.session}


def test_in_open_mode_connect_may_be_left_out_and_its_token_is_not_looked_at() -> None:
    client = Core().open()

    assert client.ask(type="subscribe", channel="a")["type"] == "subscribed"
    answer = client.ask(type="connect", token="whatever")
    assert (answer["user"], answer["channels"], answer["expiresAt"]) == (None, ["*"], None)


def test_in_secured_mode_connect_comes_first() -> None:
    client = Core(secured=True).open()

    for command in ("subscribe", "unsubscribe", "refresh"):
        answer = client.ask(type=command, channel="a", token="x", id=command)
        assert error(answer) == ("unauthorized", command)
    assert client.ask(type="ping") == {"type": "pong"}
    assert client.peer.closes == []


def test_who_is_connected_does_not_connect_again() -> None:
    core = Core(secured=True)
    client = core.connect("SCOTT")

    assert error(client.ask(type="connect", token=core.token("KING"), id=2)) == ("bad_request", 2)
    assert client.session.identity is not None
    assert client.session.identity.user == "SCOTT"


@pytest.mark.parametrize(
    ("token", "code", "close_code"),
    [
        (None, "unauthorized", 4501), ("", "unauthorized", 4501), ("abc", "unauthorized", 4501),
        (make_token("SCOTT", secret=JWT_SECRET + "!"), "unauthorized", 4501),
        (make_token("SCOTT", "x" * 4001), "bad_request", 4501),
        (make_token("SCOTT", ttl_s=-60), "token_expired", 4001),
        (make_token("REVOKED", iat=1, ttl_s=3600), "revoked", 4503),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["connect", "refresh"])
def test_a_refused_token_is_answered_and_then_closed(
    command: str, token: str | None, code: str, close_code: int
) -> None:
    core = Core(secured=True)
    core.revocations.add(Revocation("REVOKED", None, None, core.clock.now()))
    client = core.open() if command == "connect" else core.connect("SCOTT")

    assert error(client.ask(type=command, token=token, id=9)) == (code, 9)

    assert client.peer.close_code == close_code
    assert core.hub.sessions == {}


def test_connect_takes_the_tokens_of_several_listeners() -> None:
    core = Core(secured=True)
    client = core.open()
    tokens = [core.token("SCOTT", "a", ttl_s=100), core.token("SCOTT", "b", ttl_s=900)]

    answer = client.ask(type="connect", tokens=tokens, id=1)

    assert (answer["type"], answer["channels"]) == ("connected", ["user:SCOTT", "a", "b"])
    assert answer["expiresAt"] == int(core.clock.now()) + 100
    for channel in ("a", "b"):
        client.subscribe(channel)


@pytest.mark.parametrize(
    ("tokens", "code"),
    [
        ([], "unauthorized"), ([""], "unauthorized"), ([make_token("SCOTT", "a"), "abc"], "unauthorized"),
        ([make_token("SCOTT"), make_token("KING")], "forbidden"),
        ([make_token("SCOTT", sid="1"), make_token("SCOTT", sid="2")], "forbidden"),
        ([make_token("SCOTT")] * 51, "bad_request"),
    ],
)  # fmt: skip
def test_tokens_that_do_not_belong_together_are_refused(tokens: list[str], code: str) -> None:
    core = Core(secured=True)
    client = core.open()

    assert error(client.ask(type="connect", tokens=tokens, id=9)) == (code, 9)

    assert client.peer.close_code == 4501
    assert core.hub.sessions == {}


def test_refresh_adds_and_takes_away_tokens() -> None:
    core = Core(secured=True)
    client = core.connect("SCOTT", "a", session_id="1")
    client.subscribe("a")
    tokens = [core.token("SCOTT", name, session_id="1") for name in ("a", "b")]

    assert client.ask(type="refresh", tokens=tokens, id=2)["channels"] == ["user:SCOTT", "a", "b"]
    client.subscribe("b")
    client.say(type="refresh", tokens=tokens[1:], id=3)

    refreshed, ended = client.peer.take()
    assert refreshed["channels"] == ["user:SCOTT", "b"]
    assert (ended["channel"], ended["code"]) == ("a", "forbidden")


def test_a_user_has_a_limited_number_of_connections() -> None:
    core = Core(secured=True, per_user=2)
    first, _ = core.connect("SCOTT"), core.connect("SCOTT")
    third = core.open()

    assert error(third.ask(type="connect", token=core.token("SCOTT"), id=1)) == ("limit_exceeded", 1)
    assert third.peer.close_code == 4006
    core.connect("KING")

    first.session.on_closed()
    core.connect("SCOTT")  # who was refused is not counted out either: exactly one place was free
    assert error(core.open().ask(type="connect", token=core.token("SCOTT"))) == ("limit_exceeded", None)


# ── subscribe and unsubscribe ──


async def test_a_subscription_brings_its_channel_and_nothing_else() -> None:
    core = await Core().start()
    client = core.open()
    await core.publish("a")

    answer = client.subscribe("a", id=2)
    assert answer == {
        "type": "subscribed", "id": 2, "channel": "a", "epoch": core.journal.top("a").epoch, "offset": 1,
        "recovered": False,
    }  # fmt: skip

    await core.publish("b")
    await core.publish("a", {"value": 1})
    published = client.peer.take_one()
    assert (published["channel"], published["offset"], published["payload"]) == ("a", 2, {"value": 1})

    assert client.ask(type="unsubscribe", channel="a", id=3) == {
        "type": "unsubscribed", "id": 3, "channel": "a", "code": "client",
    }  # fmt: skip
    await core.publish("a")
    assert client.peer.take() == []


async def test_a_wildcard_has_a_position_of_the_journal() -> None:
    core = await Core().start()
    await core.publish("a")
    await core.publish("b")

    answer = core.open().subscribe("a*")

    assert (answer["epoch"], answer["offset"]) == (core.journal.epoch, 2)


async def test_several_subscriptions_that_match_deliver_once() -> None:
    core = await Core().start()
    client = core.open()
    for channel in ("a:b", "a:*", "*"):
        client.subscribe(channel)

    await core.publish("a:b")

    assert client.peer.take_places() == [("a:b", 1)]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"type": "subscribe"}, "channel_required"), ({"type": "subscribe", "channel": ""}, "channel_required"),
        ({"type": "subscribe", "channel": "x" * 4001}, "bad_request"),
        ({"type": "subscribe", "channel": "b"}, "forbidden"), ({"type": "subscribe", "channel": "*"}, "forbidden"),
        ({"type": "subscribe", "channel": "user:KING"}, "forbidden"),
        ({"type": "subscribe", "channel": "app:1"}, "already_subscribed"),
        ({"type": "subscribe", "channel": "app:gone"}, "revoked"),
        ({"type": "subscribe", "channel": "app:2", "presence": True}, "forbidden"),
        ({"type": "unsubscribe"}, "not_found"), ({"type": "unsubscribe", "channel": "app:2"}, "not_found"),
        ({}, "bad_request"), ({"type": "publish"}, "bad_request"), ({"type": "x" * 1000}, "bad_request"),
        ({"type": 5}, "bad_request"), ({"type": "subscribe", "channel": 5}, "bad_request"),
        ({"type": "subscribe", "channel": "app:2", "since": {"epoch": "e"}}, "bad_request"),
    ],
)  # fmt: skip
async def test_a_refused_command_is_answered_and_changes_nothing(command: dict[str, Any], code: str) -> None:
    core = await Core(secured=True).start()
    client = core.connect("SCOTT", "app:*")
    client.subscribe("app:1")
    core.revocations.add(Revocation("SCOTT", None, "app:gone", core.clock.now()))

    answer = client.ask(**command, id=7)

    assert error(answer)[0] == code
    assert answer.get("id") in {7, None}  # an id is repeated where the frame could be read at all
    assert len(answer["message"]) < 300
    assert list(client.session.subscriptions) == ["app:1"]
    await core.publish("app:1")
    assert client.peer.take_places() == [("app:1", 1)]
    assert client.peer.closes == []


@pytest.mark.parametrize("text", [b"", b"hello", b"[]", b"{", b'{"type":"ping"', b"\xff", b"[" * 60_000])
def test_a_frame_that_is_no_command_is_answered(text: bytes) -> None:
    client = Core().open()

    client.session.on_text(text)

    assert error(client.peer.take_one())[0] in {"invalid_json", "bad_request"}
    assert client.ask(type="ping", id="x") == {"type": "pong", "id": "x"}


def test_a_connection_has_a_limited_number_of_channels() -> None:
    client = Core(channels_per_connection=2).open()
    client.subscribe("a")
    client.subscribe("b*")

    assert error(client.ask(type="subscribe", channel="c", id=1)) == ("limit_exceeded", 1)
    client.ask(type="unsubscribe", channel="a")
    client.subscribe("c")


def test_binary_is_not_understood() -> None:
    client = Core().open()

    client.session.on_binary(b"\x00")

    assert client.peer.close_code == 1003


# ── rights that change ──


async def test_refresh_goes_on_with_the_new_token() -> None:
    core = await Core(secured=True).start()
    client = core.connect("SCOTT", "a", ttl_s=100, session_id="1")
    client.subscribe("a")

    answer = client.ask(type="refresh", token=core.token("SCOTT", "a", "b", ttl_s=900, session_id="1"), id=4)

    assert answer == {
        "type": "refreshed", "id": 4, "expiresAt": int(core.clock.now()) + 900, "channels": ["user:SCOTT", "a", "b"],
    }  # fmt: skip
    client.subscribe("b")
    await core.publish("a")
    assert client.peer.take_places() == [("a", 1)]


async def test_refresh_with_fewer_channels_ends_what_is_no_longer_granted() -> None:
    core = await Core(secured=True).start()
    client = core.connect("SCOTT", "a", "b", "c*", "d")
    for channel in ("a", "b", "c*", "d", "user:SCOTT"):
        client.subscribe(channel)
    core.revocations.add(Revocation("SCOTT", None, "d", core.clock.now() + 100))

    client.say(type="refresh", token=core.token("SCOTT", "a", "d", "c:*"))

    refreshed, *ended = client.peer.take()
    assert refreshed["type"] == "refreshed"
    assert [(frame["type"], frame["channel"], frame["code"]) for frame in ended] == [
        ("unsubscribed", "b", "forbidden"), ("unsubscribed", "c*", "forbidden"), ("unsubscribed", "d", "revoked"),
    ]  # fmt: skip
    for channel in ("a", "b", "c1", "d", "user:SCOTT"):
        await core.publish(channel)
    assert client.peer.take_places() == [("a", 1), ("user:SCOTT", 1)]


@pytest.mark.parametrize(("user", "session_id"), [("KING", "1"), ("SCOTT", "2"), ("SCOTT", None)])
def test_refresh_is_not_for_somebody_else(user: str, session_id: str | None) -> None:
    core = Core(secured=True)
    client = core.connect("SCOTT", "a", session_id="1")
    client.subscribe("a")

    answer = client.ask(type="refresh", token=core.token(user, "a", "b", session_id=session_id), id=1)

    assert error(answer) == ("forbidden", 1)
    assert list(client.session.subscriptions) == ["a"]
    assert error(client.ask(type="subscribe", channel="b"))[0] == "forbidden"


def test_refresh_in_open_mode_has_nothing_to_refresh() -> None:
    client = Core().open()
    client.subscribe("a")

    assert client.ask(type="refresh", token="x") == {"type": "refreshed", "expiresAt": None, "channels": ["*"]}
    assert list(client.session.subscriptions) == ["a"]


async def test_a_revoked_channel_ends_every_subscription_that_brings_it() -> None:
    core = await Core(secured=True).start()
    client = core.connect("SCOTT", "*")
    for channel in ("a:1", "a:*", "b"):
        client.subscribe(channel)

    assert client.session.drop_channel("a:1") == 2

    assert client.peer.take() == [
        {"type": "unsubscribed", "channel": channel, "code": "revoked"} for channel in ("a:1", "a:*")
    ]
    for channel in ("a:1", "a:2", "b"):
        await core.publish(channel)
    assert client.peer.take_places() == [("b", 1)]
    assert client.session.drop_channel("a:1") == 0


# ── a peer that does not read ──


def test_a_stalled_peer_is_closed_and_counted() -> None:
    core = Core()
    client = core.open()
    client.subscribe("a")

    client.session.on_stalled()

    assert client.peer.close_code == 4002
    assert core.hub.counts.closed_slow == 1
    assert core.hub.sessions == {}


@pytest.mark.parametrize("since", [{}, {"since": {"epoch": "?", "offset": 0}}, {"since": None}])
async def test_a_peer_that_overflows_with_the_answer_leaves_no_subscription(since: dict[str, Any]) -> None:
    """The answer itself may be the straw: subscribing a connection that has just ended would never be undone."""
    core = await Core().start()
    top = core.journal.top("a")
    if since and since["since"]:
        since = {"since": {"epoch": top.epoch, "offset": top.offset}}
    await core.publish("a")
    client = core.open()
    client.overflows_after(1)

    client.say(type="subscribe", channel="a", **since)

    assert client.peer.close_code == 4002
    assert list(core.hub.registry.channels()) == []
    assert not client.session.is_busy


async def test_a_peer_that_overflows_while_its_rights_end_does_not_break_the_others() -> None:
    core = await Core(secured=True).start()
    slow, other = core.connect("SCOTT", "*"), core.connect("KING", "*")
    for channel in ("a", "a*", "*"):
        slow.subscribe(channel)
    other.subscribe("a")
    slow.overflows_after(1)

    assert await core.hub.revoke(Revocation(None, None, "a", core.clock.now())) == (0, 4)

    assert slow.peer.close_code == 4002
    assert other.peer.take_one()["code"] == "revoked"
    assert list(core.hub.registry.subscribers("a")) == []


def test_a_peer_that_overflows_while_it_is_refreshed_just_ends() -> None:
    core = Core(secured=True)
    client = core.connect("SCOTT", "a", "b", "c")
    for channel in ("a", "b", "c"):
        client.subscribe(channel)
    client.overflows_after(2)

    client.say(type="refresh", token=core.token("SCOTT"))

    assert client.peer.close_code == 4002
    assert list(core.hub.registry.channels()) == []


# ── old listeners ──


async def test_an_old_listener_gets_everything_until_it_speaks() -> None:
    core = await Core().start()
    client = core.open(old_listener=[])
    await core.publish("a")
    await core.publish("user:KING")
    assert client.peer.take_places() == [("a", 1), ("user:KING", 1)]

    client.subscribe("b")
    await core.publish("a")
    await core.publish("b")

    assert client.peer.take_places() == [("b", 1)]


async def test_an_old_listener_gets_the_channels_of_its_url() -> None:
    core = await Core().start()
    client = core.open(old_listener=["a", "chat:*", "a"])
    for channel in ("a", "b", "chat:1"):
        await core.publish(channel)
    assert client.peer.take_places() == [("a", 1), ("chat:1", 1)]

    assert client.ask(type="ping") == {"type": "pong"}
    await core.publish("a")

    assert client.peer.take() == []


async def test_in_secured_mode_an_old_listener_gets_nothing() -> None:
    core = await Core(secured=True).start()
    client = core.open(old_listener=[])

    await core.publish("a")

    assert client.peer.take() == []
    core.pass_time(12)
    assert client.peer.close_code == 4004


def test_a_channel_of_an_old_listener_counts_once_for_presence() -> None:
    core = Core()
    client = core.open(old_listener=["chat:1", "chat:1"])
    client.session.on_closed()

    assert core.hub.presence._channels == {}


def test_an_old_listener_has_no_more_channels_than_others() -> None:
    client = Core(channels_per_connection=3).open(old_listener=[str(number) for number in range(10)])

    assert list(client.session.subscriptions) == ["0", "1", "2"]


def test_an_old_listener_with_an_impossible_channel_is_told() -> None:
    client = Core().open(old_listener=["a", "x" * 4001])

    assert error(client.peer.take_one())[0] == "bad_request"
    assert client.peer.closes == []


# ── the end ──


async def test_nothing_is_left_of_a_session_that_has_ended() -> None:
    core = await Core(secured=True, per_user=1).start()
    client = core.connect("SCOTT", "*")
    for channel in ("a", "chat:1", "*"):
        client.subscribe(channel)

    client.session.on_closed()
    await core.publish("a")

    assert client.peer.take() == []
    assert core.hub.sessions == {}
    assert list(core.hub.registry.channels()) == []
    assert core.hub.presence._channels == {}
    core.connect("SCOTT")


def test_a_session_knows_where_it_came_from() -> None:
    core = Core()
    client = core.open()

    assert client.session.ip == client.peer.ip
    assert client.session.connected_at == core.clock.now()
    assert len({core.open().session.id for _ in range(100)}) == 100
