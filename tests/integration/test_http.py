"""The HTTP interface, sentence by sentence of docs/protocol.md section 3."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.support.server import API_KEY, JWT_SECRET, SECURED, ServerProcess, run_server
from tests.support.tokens import make_token
from tests.support.wire import wire


@pytest.mark.parametrize(("path", "text"), [("/", "RTM WebSocket / REST bridge is running")])
def test_the_root_says_what_this_is_without_a_key(shared_secured: ServerProcess, path: str, text: str) -> None:
    answer = httpx.get(shared_secured.url + path)
    assert (answer.status_code, answer.text) == (200, text)


def test_health_needs_no_key(shared_secured: ServerProcess) -> None:
    assert httpx.get(f"{shared_secured.url}/health/live").status_code == 200
    assert httpx.get(f"{shared_secured.url}/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api", 404, "not_found"),
        ("GET", "/api/broadcast/", 404, "not_found"),
        ("GET", "/api/broadcast", 405, "method_not_allowed"),
        ("DELETE", "/api/broadcast", 405, "method_not_allowed"),
        ("POST", "/health/live", 405, "method_not_allowed"),
    ],
)
def test_a_wrong_path_or_method_is_a_failure_in_the_usual_form(
    shared_open: ServerProcess, method: str, path: str, status: int, code: str
) -> None:
    with shared_open.client() as http:
        answer = http.request(method, path)
    assert answer.status_code == status
    assert answer.json() == {"ok": False, "code": code, "message": answer.json()["message"]}


# ── broadcast ──


async def test_a_broadcast_arrives_with_all_that_was_sent_and_its_place(
    shared_open: ServerProcess, channel: str
) -> None:
    async with wire(shared_open.ws_url) as client:
        subscribed = await client.subscribe(channel)
        sent = {
            "channel": channel,
            "eventName": "ping",
            "payload": {"itemName": "P10_MESSAGE", "value": "Grüße 🎉", "n": [1, 2.5, None, True]},
            "meta": {"user": "ORACLEVERSE", "appId": 100, "pageId": 10},
            "id": "order-17",
        }
        with shared_open.client() as http:
            answer = http.post("/api/broadcast", json=sent).json()
        assert answer == {"ok": True, "id": "order-17", "epoch": subscribed["epoch"], "offset": 1}
        assert await client.publications(1) == [{**sent, "epoch": answer["epoch"], "offset": 1}]


async def test_what_is_not_sent_is_null_and_meta_stays_away(shared_open: ServerProcess, channel: str) -> None:
    async with wire(shared_open.ws_url) as client:
        await client.subscribe(channel)
        with shared_open.client() as http:
            answer = http.post("/api/broadcast", json={"channel": channel, "unknown": 1}).json()
        (publication,) = await client.publications(1)
        assert publication == {
            "channel": channel, "eventName": None, "payload": None,
            "id": answer["id"], "epoch": answer["epoch"], "offset": 1,
        }  # fmt: skip


@pytest.mark.parametrize("payload", ["0", '"text"', "false", "[]", "{}", "1.50", "1E+2", ' {"a" : 1} ', '"\\u00fc\\n"'])
async def test_a_payload_is_passed_on_byte_for_byte(shared_open: ServerProcess, channel: str, payload: str) -> None:
    async with wire(shared_open.ws_url) as client:
        await client.subscribe(channel)
        with shared_open.client() as http:
            body = f'{{"channel":"{channel}","payload":{payload}}}'
            assert http.post("/api/broadcast", content=body).status_code == 200
        async with asyncio.timeout(10):
            text = await client.socket.recv()
        assert f'"payload":{payload.strip()}' in str(text)


@pytest.mark.parametrize(
    ("member", "longest", "one_more"),
    [("channel", "c" * 4000, "c" * 4001), ("eventName", "e" * 130, "e" * 131), ("id", "i" * 128, "i" * 129)],
    ids=lambda value: value if len(value) < 20 else f"{len(value)}",
)
def test_names_have_their_longest_length_in_characters(
    shared_open: ServerProcess, channel: str, member: str, longest: str, one_more: str
) -> None:
    with shared_open.client() as http:
        for text, status in ((longest, 200), (longest[:-1] + "🎉", 200), (one_more, 400)):
            answer = http.post("/api/broadcast", json={"channel": channel, member: text})
            assert answer.status_code == status, answer.text
        assert answer.json()["code"] == "bad_request"
        assert member in answer.json()["message"]


@pytest.mark.parametrize(
    "members",
    [
        {"channel": 5},
        {"channel": ["a"]},
        {"eventName": 1},
        {"id": 7},
        {"id": ""},
        {"meta": [1]},
        {"meta": "text"},
        {"meta": 1},
    ],
    ids=repr,
)
def test_a_member_of_the_wrong_kind_is_named(shared_open: ServerProcess, members: dict[str, object]) -> None:
    with shared_open.client() as http:
        answer = http.post("/api/broadcast", json={"channel": "test", **members})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert next(iter(members)) in answer.json()["message"]


async def test_a_repeated_id_gets_the_first_result_and_is_delivered_to_nobody(
    shared_open: ServerProcess, channel: str
) -> None:
    async with wire(shared_open.ws_url) as client:
        await client.subscribe(channel)
        with shared_open.client() as http:
            first = http.post("/api/broadcast", json={"channel": channel, "id": "x", "payload": 1}).json()
            again = http.post("/api/broadcast", json={"channel": channel, "id": "x", "payload": 2}).json()
            other = http.post("/api/broadcast", json={"channel": f"{channel}-2", "id": "x"}).json()
        assert again == first
        assert other["offset"] == 1
        assert [p["payload"] for p in await client.publications(1)] == [1]
        await client.nothing_waits()


def test_an_id_may_come_again_after_the_idempotency_window(tmp_path: Path) -> None:
    with run_server(tmp_path, idempotency_window_s=0) as server, server.client() as http:
        offsets = [http.post("/api/broadcast", json={"channel": "c", "id": "x"}).json()["offset"] for _ in range(2)]
    assert offsets == [1, 2]


# ── batch ──


async def test_a_batch_has_one_result_per_message_in_order(shared_open: ServerProcess, channel: str) -> None:
    messages = [
        {"channel": channel, "payload": 1, "id": "one"},
        {"channel": ""},
        {"channel": channel, "payload": 2},
        "not a message",
        {"channel": channel, "payload": 3, "id": "one"},
        {"channel": channel, "eventName": "e" * 131},
        {"channel": channel, "payload": 4},
    ]
    async with wire(shared_open.ws_url) as client:
        await client.subscribe(channel)
        with shared_open.client() as http:
            answer = http.post("/api/broadcast/batch", json={"messages": messages}).json()
        results = answer["results"]
        assert answer["ok"] is True
        assert [result["ok"] for result in results] == [True, False, True, False, True, False, True]
        assert [result.get("offset") for result in results] == [1, None, 2, None, 1, None, 3]
        assert [result.get("code") for result in results if not result["ok"]] == [
            "channel_required", "bad_request", "bad_request",
        ]  # fmt: skip
        assert results[1]["message"] == "channel is required"
        assert [p["payload"] for p in await client.publications(3)] == [1, 2, 4]
        await client.nothing_waits()


@pytest.mark.parametrize("body", ["{}", '{"messages":{}}', "[]", '{"messages":null}'])
def test_a_batch_without_a_list_is_refused(shared_open: ServerProcess, body: str) -> None:
    with shared_open.client() as http:
        answer = http.post("/api/broadcast/batch", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_an_empty_batch_is_a_batch(shared_open: ServerProcess) -> None:
    with shared_open.client() as http:
        assert http.post("/api/broadcast/batch", json={"messages": []}).json() == {"ok": True, "results": []}


# ── tokens ──


async def test_a_minted_token_connects_and_grants_what_was_named(
    shared_secured: ServerProcess, channel: str, user: str
) -> None:
    with shared_secured.client() as http:
        wanted = {"user": user, "sessionId": "4711", "channels": [channel, f"{channel}:*"], "ttlSeconds": 60}
        minted = http.post("/api/tokens", json=wanted).json()
        assert minted.keys() == {"ok", "token", "expiresAt"}
        assert 55 < minted["expiresAt"] - time.time() <= 60
        async with wire(shared_secured.ws_url) as client:
            connected = await client.ask(type="connect", token=minted["token"], id=1)
            assert connected["expiresAt"] == minted["expiresAt"]
            assert (connected["user"], connected["channels"]) == (user, [f"user:{user}", channel, f"{channel}:*"])
            (listed,) = http.get("/api/connections", params={"user": user}).json()["connections"]
            assert (listed["sessionId"], listed["id"]) == ("4711", connected["connection"])


@pytest.mark.parametrize(
    "wanted",
    [
        {"sessionId": "1", "channels": []},
        {"user": "", "channels": []},
        {"user": "SCOTT"},
        {"user": "SCOTT", "channels": "test"},
        {"user": "SCOTT", "channels": [""]},
        {"user": "SCOTT", "channels": ["c" * 4001]},
        {"user": "SCOTT", "channels": [], "ttlSeconds": 0},
        {"user": "SCOTT", "channels": [], "ttlSeconds": -1},
        {"user": "SCOTT", "channels": [], "ttlSeconds": 86401},
        {"user": "SCOTT", "channels": [], "ttlSeconds": "60"},
        {"user": 5, "channels": []},
    ],
    ids=lambda wanted: repr(wanted)[:60],
)
def test_a_token_request_that_makes_no_sense_is_refused(
    shared_secured: ServerProcess, wanted: dict[str, object]
) -> None:
    with shared_secured.client() as http:
        answer = http.post("/api/tokens", json=wanted)
    assert (answer.status_code, answer.json()["code"] in {"bad_request", "channel_required"}) == (400, True)


# ── revoke ──


async def test_revoking_a_session_ends_its_connections_and_no_others(
    shared_secured: ServerProcess, channel: str, user: str
) -> None:
    one = make_token(user, channel, sid="1")
    async with (
        wire(shared_secured.ws_url, token=one) as first,
        wire(shared_secured.ws_url, token=make_token(user, channel, sid="2")) as second,
        wire(shared_secured.ws_url, token=make_token(f"{user}-else", channel, sid="1")) as third,
    ):
        for client in (first, second, third):
            await client.subscribe(channel)
        with shared_secured.client() as http:
            answer = http.post("/api/revoke", json={"user": user, "sessionId": "1"}).json()
            assert answer == {"ok": True, "connections": 1, "subscriptions": 0}
            told = await first.receive()
            assert (told["type"], told["code"]) == ("error", "revoked")
            assert await first.close_code() == 4503
            http.post("/api/broadcast", json={"channel": channel})
        assert len(await second.publications(1)) == len(await third.publications(1)) == 1
    async with wire(shared_secured.ws_url) as back:
        assert (await back.ask(type="connect", token=one))["code"] == "revoked"
        assert await back.close_code() == 4503


async def test_revoking_a_channel_ends_subscriptions_that_would_bring_it(
    shared_secured: ServerProcess, channel: str, user: str
) -> None:
    token = make_token(user, channel, f"{channel}:*", f"{channel}*")
    async with wire(shared_secured.ws_url, token=token) as client:
        for name in (f"{channel}:1", f"{channel}:*", f"{channel}:2"):
            await client.subscribe(name)
        with shared_secured.client() as http:
            answer = http.post("/api/revoke", json={"user": user, "channel": f"{channel}:1"}).json()
            assert answer == {"ok": True, "connections": 0, "subscriptions": 2}
            told = [await client.receive(), await client.receive()]
            assert {(t["type"], t["channel"], t["code"]) for t in told} == {
                ("unsubscribed", f"{channel}:1", "revoked"),
                ("unsubscribed", f"{channel}:*", "revoked"),
            }
            http.post("/api/broadcast", json={"channel": f"{channel}:1"})
            http.post("/api/broadcast", json={"channel": f"{channel}:2"})
        assert [p["channel"] for p in await client.publications(1)] == [f"{channel}:2"]
        for name in (f"{channel}:1", f"{channel}:*"):
            assert (await client.ask(type="subscribe", channel=name))["code"] == "revoked"
    newer = make_token(user, f"{channel}:*", iat=int(time.time()) + 2)
    async with wire(shared_secured.ws_url, token=newer) as client:
        await client.subscribe(f"{channel}:1")


async def test_a_revocation_outlives_a_restart(secured_server: ServerProcess) -> None:
    old = make_token("SCOTT", "test")
    with secured_server.client() as http:
        assert http.post("/api/revoke", json={"user": "SCOTT"}).status_code == 200
    secured_server.restart()
    async with wire(secured_server.ws_url) as client:
        assert (await client.ask(type="connect", token=old))["code"] == "revoked"


@pytest.mark.parametrize("body", ["{}", '{"user":null}', '{"user":5}', '{"channel":""}', "[]"])
def test_revoking_nobody_in_particular_is_refused(shared_secured: ServerProcess, body: str) -> None:
    with shared_secured.client() as http:
        assert http.post("/api/revoke", content=body).status_code == 400


# ── looking ──


async def test_channels_lists_those_with_history_or_subscribers(shared_open: ServerProcess, channel: str) -> None:
    async with wire(shared_open.ws_url) as client:
        await client.subscribe(f"{channel}-listening")
        with shared_open.client() as http:
            sent = http.post("/api/broadcast", json={"channel": f"{channel}-sent"}).json()
            listed = http.get("/api/channels", params={"prefix": channel}).json()
            assert http.get("/api/channels", params={"prefix": channel, "limit": 1}).json()["more"] is True
    by_name = {one["channel"]: one for one in listed["channels"]}
    assert by_name.keys() == {f"{channel}-listening", f"{channel}-sent"}
    assert by_name[f"{channel}-listening"]["subscribers"] == 1
    assert (by_name[f"{channel}-sent"]["epoch"], by_name[f"{channel}-sent"]["offset"]) == (sent["epoch"], 1)


@pytest.mark.parametrize("name", ["plain", "with/slash", "100%", "grüße", "a b", "?x=#", "../up", "history"])
def test_history_of_any_name_can_be_asked_for(shared_open: ServerProcess, channel: str, name: str) -> None:
    full = f"{channel}-{name}"
    with shared_open.client() as http:
        for number in range(3):
            http.post("/api/broadcast", json={"channel": full, "payload": number})
        answer = http.get(f"/api/channels/{quote(full, safe='')}/history").json()
        assert (answer["channel"], answer["offset"]) == (full, 3)
        assert [p["payload"] for p in answer["publications"]] == [0, 1, 2]


def test_history_gives_the_newest_or_what_follows_a_position(shared_open: ServerProcess, channel: str) -> None:
    with shared_open.client() as http:
        for number in range(1, 6):
            epoch = http.post("/api/broadcast", json={"channel": channel, "payload": number}).json()["epoch"]
        path = f"/api/channels/{channel}/history"
        newest = http.get(path, params={"limit": 2}).json()["publications"]
        after = http.get(path, params={"epoch": epoch, "offset": 1, "limit": 2}).json()
        foreign = http.get(path, params={"epoch": "other", "offset": 1}).json()
    assert [p["offset"] for p in newest] == [4, 5]
    assert ([p["offset"] for p in after["publications"]], after["complete"]) == ([2, 3], True)
    assert foreign["complete"] is False


@pytest.mark.parametrize("limit", ["-1", "1001", "x", "1.5", "", "\uff19", "9" * 5000])
def test_a_limit_that_is_no_limit_is_refused(shared_open: ServerProcess, limit: str) -> None:
    with shared_open.client() as http:
        answer = http.get("/api/channels", params={"limit": limit})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


async def test_presence_and_connections_show_who_is_there(
    shared_secured: ServerProcess, channel: str, user: str
) -> None:
    token = make_token(user, channel, sid="77")
    async with wire(shared_secured.ws_url, token=token) as one, wire(shared_secured.ws_url, token=token) as two:
        await one.subscribe(channel)
        await two.subscribe(channel)
        with shared_secured.client() as http:
            presence = http.get(f"/api/channels/{channel}/presence").json()
            listed = http.get("/api/connections", params={"channel": channel}).json()
            limited = http.get("/api/connections", params={"user": user, "limit": 1}).json()
    assert presence == {"ok": True, "channel": channel, "connections": 2, "users": {user: 2}}
    assert [(c["user"], c["sessionId"], c["ip"], c["channels"]) for c in listed["connections"]] == [
        (user, "77", "127.0.0.1", [channel])
    ] * 2
    assert (len(limited["connections"]), limited["more"]) == (1, True)


def test_any_of_several_keys_is_good_and_no_secret_is_ever_shown(tmp_path: Path) -> None:
    with run_server(tmp_path, **{**SECURED, "api_keys": f"old-key, {API_KEY}"}) as server:
        for key, status in (("old-key", 200), (API_KEY, 200), ("old-key,", 401), (f"old-key, {API_KEY}", 401)):
            answer = httpx.post(f"{server.url}/api/broadcast", json={"channel": "c"}, headers={"X-API-Key": key})
            assert answer.status_code == status
        texts = [httpx.get(server.url + path).text for path in ("/", "/openapi.json", "/health/ready", "/api/channels")]
        texts += [json.dumps(server.log)]
    assert not [text for text in texts if JWT_SECRET in text or API_KEY in text or "old-key" in text]
