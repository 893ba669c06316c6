"""Attacks on who may see what: names that mean more than they say, rights that end while something is on its way."""

from __future__ import annotations

import asyncio
import hmac
import time
from itertools import pairwise
from typing import Any

import httpx
import pytest

from apex_rtm.authorize import Authorizer
from apex_rtm.errors import Refused
from apex_rtm.revocations import Revocation
from tests.support.core import Core
from tests.support.server import API_KEY, ServerProcess
from tests.support.tokens import make_token
from tests.support.wire import wire


def _broadcast(server: ServerProcess, *channels: str) -> None:
    with server.client() as http:
        messages = [{"channel": channel} for channel in channels]
        answer = http.post("/api/broadcast/batch", json={"messages": messages}).json()
    assert all(result["ok"] for result in answer["results"])


# ── names ──


async def test_a_user_named_star_is_one_user(shared_secured: ServerProcess) -> None:
    """Whoever may choose a user name chooses `*`, and `user:*` would be everybody's private channel."""
    async with wire(shared_secured.ws_url, token=make_token("*")) as star:
        assert (await star.ask(type="subscribe", channel="user:*"))["code"] == "forbidden"
        assert (await star.ask(type="subscribe", channel="*"))["code"] == "forbidden"
        _broadcast(shared_secured, "user:KING", "user:*")
        await star.nothing_waits()
    async with wire(shared_secured.ws_url, token=make_token("*", "*", "user:*")) as star:
        await star.subscribe("user:*")
        _broadcast(shared_secured, "user:KING", "user:*x", "user:*")
        assert [p["channel"] for p in await star.publications(1)] == ["user:*"]
        await star.nothing_waits()


@pytest.mark.parametrize("name", ["KING*", "KING:", "KING:1", "king", "KING ", "KIN", "KING\u0000", "ＫＩＮＧ", "КING"])  # noqa: RUF001 - look-alikes are the attack
async def test_a_user_with_a_name_like_anothers_is_somebody_else(shared_secured: ServerProcess, name: str) -> None:
    """Trimming, case folding or normalizing on one side only makes two users one."""
    async with wire(shared_secured.ws_url, token=make_token(name, "*")) as client:
        assert (await client.ask(type="subscribe", channel="user:KING"))["code"] == "forbidden"
        await client.subscribe("user:*")
        await client.subscribe("us*")
        _broadcast(shared_secured, "user:KING")
        await client.nothing_waits()


@pytest.mark.parametrize("name", ["", "user:", ":", "a:b", "*", "KING,SCOTT", '","', "../KING"])
async def test_no_name_becomes_another_through_a_separator(shared_secured: ServerProcess, name: str) -> None:
    """A grant, a key or a path made by joining names with a sign is ambiguous as soon as a name contains the sign."""
    async with wire(shared_secured.ws_url, token=make_token("SCOTT", f"app:{name}x")) as client:
        for channel in ("app:", "app", "app:x:x", "user:KING", f"app:{name}", f"app:{name}x2"):
            if channel != f"app:{name}x":
                assert (await client.ask(type="subscribe", channel=channel))["type"] == "error", channel


async def test_ids_of_different_channels_never_meet(shared_open: ServerProcess, channel: str) -> None:
    """A cache keyed by channel, sign and id joined answers one message with the result of another: it is lost."""
    pairs: list[dict[str, Any]] = []
    for sign in (":", "/", "|", "\u0000", " ", "_", "-", ",", "\n", "\u001f"):
        pairs += [
            {"channel": f"{channel}{sign}a", "id": f"b{sign}c"},
            {"channel": f"{channel}{sign}a{sign}b", "id": "c"},
            {"channel": channel, "id": f"a{sign}b{sign}c"},
        ]
    with shared_open.client() as http:
        results = http.post("/api/broadcast/batch", json={"messages": pairs}).json()["results"]
        repeats = http.post("/api/broadcast/batch", json={"messages": pairs}).json()["results"]
    by_channel: dict[str, list[int]] = {}
    for pair, result in zip(pairs, results, strict=True):
        by_channel.setdefault(pair["channel"], []).append(result["offset"])
    assert by_channel[channel] == list(range(1, 11))  # each of its ids was new
    assert all(offsets == [1] for name, offsets in by_channel.items() if name != channel)
    assert repeats == results


async def test_revocations_of_different_scopes_never_meet(shared_secured: ServerProcess, user: str) -> None:
    """User `A`, session `1:2` and user `A:1`, session `2` are two; a joined key revokes the wrong one, or neither."""
    tokens = {
        (name, sid): make_token(name, "app", sid=sid)
        for name, sid in ((user, "1:2"), (f"{user}:1", "2"), (user, "1"), (f"{user}:1:2", None))
    }
    with shared_secured.client() as http:
        assert http.post("/api/revoke", json={"user": user, "sessionId": "1:2"}).status_code == 200
    refused = []
    for scope, token in tokens.items():
        async with wire(shared_secured.ws_url) as client:
            answer = await client.ask(type="connect", token=token)
            refused += [scope] if answer["type"] == "error" else []
    assert refused == [(user, "1:2")]


async def test_a_client_cannot_publish(shared_secured: ServerProcess, channel: str) -> None:
    """What looks like a publication, sent by a client, must reach nobody: it would speak with the server's voice."""
    token = make_token("SCOTT", channel)
    async with wire(shared_secured.ws_url, token=token) as victim, wire(shared_secured.ws_url, token=token) as liar:
        await victim.subscribe(channel)
        frame: dict[str, Any] = {"channel": channel, "eventName": "x", "payload": 1, "epoch": "e", "offset": 1}
        for kind in ({}, {"type": "publish"}, {"type": "broadcast"}, {"type": "publication"}, {"type": "subscribed"}):
            answer = await liar.ask(**frame, **kind, meta={"user": "KING"})
            assert (answer["type"], answer["code"]) == ("error", "bad_request")
        await victim.nothing_waits()
        with shared_secured.client() as http:  # a token is no key
            assert http.post("/api/broadcast", json=frame, headers={"X-API-Key": token}).status_code == 401


def test_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """`==` stops at the first difference, and the time it takes tells how much of a guess was right."""
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return False

    authorizer = Authorizer(["short", API_KEY, "x" * 500], Core(secured=True).verifier, Core().revocations)
    monkeypatch.setattr(hmac, "compare_digest", compare)
    for offered in ("s", "short", "x" * 500, "y" * 5000):
        with pytest.raises(Refused):
            authorizer.check_key(offered)
    assert compared == [(32, 32)] * 12  # every key each time, whatever its length


# ── rights that end ──


async def test_recovery_checks_the_rights_of_today(shared_secured: ServerProcess, channel: str, user: str) -> None:
    """A position is no right: who had one yesterday and was revoked must not read what was published since."""
    token = make_token(user, f"{channel}*")
    async with wire(shared_secured.ws_url, token=token) as client:
        exact, prefix = await client.subscribe(channel), await client.subscribe(f"{channel}*")
    _broadcast(shared_secured, channel)
    with shared_secured.client() as http:
        http.post("/api/revoke", json={"user": user, "channel": channel})
    async with wire(shared_secured.ws_url, token=token) as client:
        for name, frame in ((channel, exact), (f"{channel}*", prefix)):
            since = {"epoch": frame["epoch"], "offset": frame["offset"]}
            assert (await client.ask(type="subscribe", channel=name, since=since))["code"] == "revoked"
        await client.nothing_waits()


async def test_a_session_that_has_logged_out_is_gone_on_every_tab(
    shared_secured: ServerProcess, channel: str, user: str
) -> None:
    """The session of APEX has ended, the tab in the background still listens with the rights of then."""
    token = make_token(user, channel, sid="4711")
    async with wire(shared_secured.ws_url, token=token) as one, wire(shared_secured.ws_url, token=token) as two:
        await one.subscribe(channel)
        await two.subscribe(channel)
        with shared_secured.client() as http:
            assert http.post("/api/revoke", json={"sessionId": "4711", "user": user}).json()["connections"] == 2
        _broadcast(shared_secured, channel)
        for client in (one, two):
            assert (await client.receive())["code"] == "revoked"
            assert await client.close_code() == 4503


async def test_what_was_revoked_while_a_replay_waits_is_not_replayed() -> None:
    """A slow reader is in the middle of a long replay when its right ends: what is not yet written must never be."""
    core = await Core(secured=True).start()
    with_position = core.connect("SCOTT", "secret", "other")
    since = with_position.subscribe("secret")
    for number in range(10):
        await core.publish("secret", [number, "x" * 70_000])  # more than a replay writes at once
    client = core.connect("SCOTT", "secret", "other")
    client.peer.room = 4
    client.say(type="subscribe", channel="secret", since={"epoch": since["epoch"], "offset": since["offset"]})
    assert client.session.is_busy
    before = [frame["payload"][0] for frame in client.peer.take()[1:]]
    await core.hub.revoke(Revocation("SCOTT", None, "secret", core.clock.now()))
    client.read_on()
    await core.publish("secret", "after")
    frames = client.peer.take()
    assert before == [0, 1, 2]
    assert [(frame["type"], frame["code"]) for frame in frames] == [("unsubscribed", "revoked")]
    assert not client.session.is_busy
    client.subscribe("other")  # the connection itself goes on


async def test_a_connection_revoked_while_a_replay_waits_gets_nothing_more() -> None:
    """The same for the whole connection: closing must not flush what the log still holds for it."""
    core = await Core(secured=True).start()
    since = core.connect("KING", "secret").subscribe("secret")
    for number in range(10):
        await core.publish("secret", number)
    client = core.connect("SCOTT", "secret")
    client.peer.room = 4
    client.say(type="subscribe", channel="secret", since={"epoch": since["epoch"], "offset": since["offset"]})
    client.peer.take()
    await core.hub.revoke(Revocation("SCOTT", None, None, core.clock.now()))
    client.read_on()
    await core.publish("secret", "after")
    assert [frame["code"] for frame in client.peer.take()] == ["revoked"]
    assert client.peer.close_code == 4503


async def test_revoking_and_subscribing_at_the_same_time_leaves_no_right(
    shared_secured: ServerProcess, channel: str, user: str
) -> None:
    """A subscription that slips in between the search for subscriptions and the note of the revocation lives on."""
    token = make_token(user, channel)
    async with wire(shared_secured.ws_url, token=token) as client:
        async with httpx.AsyncClient(base_url=shared_secured.url, headers={"X-API-Key": API_KEY}) as http:
            revoking = asyncio.create_task(http.post("/api/revoke", json={"user": user, "channel": channel}))
            for _ in range(100):
                await client.send(type="subscribe", channel=channel)
                await client.send(type="unsubscribe", channel=channel)
            await client.send(type="subscribe", channel=channel)
            assert (await revoking).status_code == 200
        await client.send(type="subscribe", channel=channel)
        _broadcast(shared_secured, channel)
        await client.send(type="ping", id="end")
        frames = []
        while (frame := await client.receive()).get("id") != "end":
            frames.append(frame)
    assert [frame for frame in frames if "type" not in frame] == []
    codes = [frame["code"] for frame in frames if "code" in frame]
    assert codes[-2:] == ["revoked", "revoked"]


async def test_subscribing_and_unsubscribing_while_messages_pass_keeps_order_and_count(
    shared_open: ServerProcess, channel: str
) -> None:
    """Between unsubscribe and the next subscribe a message may be missed; none may come late, twice or out of order."""
    async with wire(shared_open.ws_url) as client, httpx.AsyncClient(base_url=shared_open.url) as http:

        async def publish() -> None:
            for number in range(100):
                await http.post("/api/broadcast", json={"channel": channel, "payload": number})

        publishing = asyncio.create_task(publish())
        position: dict[str, Any] | None = None
        offsets: list[int] = []
        for _ in range(30):
            since = {"since": position} if position else {}
            await client.send(type="subscribe", channel=channel, **since)
            await client.send(type="unsubscribe", channel=channel)
            while (frame := await client.receive()).get("type") != "unsubscribed":
                if "type" not in frame:
                    offsets.append(frame["offset"])
                elif position is not None:
                    assert frame["recovered"] is True
                position = {"epoch": frame["epoch"], "offset": frame["offset"]}
        await publishing
        answer = await client.subscribe(channel, since=position)
        assert answer["recovered"] is True
        missing = 100 - answer["offset"]
        offsets += [p["offset"] for p in await client.publications(missing)]
    assert all(later - earlier == 1 for earlier, later in pairwise(offsets))
    assert offsets[-1] == 100


async def test_a_token_minted_in_the_second_of_its_revocation_is_refused(
    shared_secured: ServerProcess, user: str
) -> None:
    """`iat` counts whole seconds: a token from the same second may be older than the revocation, so it is not taken."""
    with shared_secured.client() as http:
        now = int(time.time())
        tokens = [make_token(user, iat=now), make_token(user, iat=now - 1), make_token(user, iat=None)]
        http.post("/api/revoke", json={"user": user})
    for token in tokens:
        async with wire(shared_secured.ws_url) as client:
            assert (await client.ask(type="connect", token=token))["code"] == "revoked"
    async with wire(shared_secured.ws_url, token=make_token(user, iat=now + 3)) as client:
        await client.nothing_waits()
