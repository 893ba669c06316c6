"""The conversation over WebSocket, sentence by sentence of docs/protocol.md sections 4 to 7."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.ring import require_ring
from tests.support.server import ServerProcess, run_server
from tests.support.wire import Wire, wire


def _broadcast(server: ServerProcess, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    with server.client() as http:
        answer = http.post("/api/broadcast/batch", json={"messages": list(messages)})
    results: list[dict[str, Any]] = answer.json()["results"]
    assert all(result["ok"] for result in results), results
    return results


def _numbered(channel: str, count: int) -> list[dict[str, Any]]:
    return [{"channel": channel, "payload": number} for number in range(1, count + 1)]


def _since(frame: dict[str, Any]) -> dict[str, Any]:
    return {"epoch": frame["epoch"], "offset": frame["offset"]}


# ── commands ──


@pytest.mark.parametrize("command_id", [1, 0, -5, 2**53, "text", ""], ids=repr)
async def test_the_answer_repeats_the_id_of_the_command(
    shared_open: ServerProcess, channel: str, command_id: object
) -> None:
    async with wire(shared_open.ws_url) as client:
        for kind in ("connect", "subscribe", "unsubscribe", "ping", "nonsense"):
            assert (await client.ask(type=kind, channel=channel, id=command_id))["id"] == command_id


async def test_an_answer_has_no_id_where_the_command_had_none(shared_open: ServerProcess, channel: str) -> None:
    async with wire(shared_open.ws_url) as client:
        for kind, answer in (("connect", "connected"), ("subscribe", "subscribed"), ("unsubscribe", "unsubscribed")):
            frame = await client.ask(type=kind, channel=channel)
            assert (frame["type"], "id" in frame) == (answer, False)
        assert await client.ask(type="ping") == {"type": "pong"}


async def test_connected_says_who_and_how(shared_open: ServerProcess) -> None:
    async with wire(shared_open.ws_url) as client:
        frame = await client.ask(type="connect", id=1)
    assert frame == {
        "type": "connected", "id": 1, "connection": frame["connection"], "user": None, "channels": ["*"],
        "expiresAt": None, "pingIntervalS": 25,
    }  # fmt: skip
    assert frame["connection"]


async def test_unsubscribed_is_the_last_thing_about_a_channel(shared_open: ServerProcess, channel: str) -> None:
    async with wire(shared_open.ws_url) as client:
        await client.subscribe(channel)
        answer = await client.ask(type="unsubscribe", channel=channel, id=3)
        assert answer == {"type": "unsubscribed", "id": 3, "channel": channel, "code": "client"}
        _broadcast(shared_open, {"channel": channel})
        await client.nothing_waits()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({}, "bad_request"),
        ({"type": "publish", "channel": "test"}, "bad_request"),
        ({"type": None}, "bad_request"),
        ({"type": 5}, "bad_request"),
        ({"type": "subscribe"}, "channel_required"),
        ({"type": "subscribe", "channel": ""}, "channel_required"),
        ({"type": "subscribe", "channel": "c" * 4001}, "bad_request"),
        ({"type": "subscribe", "channel": ["test"]}, "bad_request"),
        ({"type": "subscribe", "channel": "test", "since": {"epoch": "x"}}, "bad_request"),
        ({"type": "subscribe", "channel": "test", "since": {"epoch": "x", "offset": 1.5}}, "bad_request"),
        ({"type": "subscribe", "channel": "test", "since": 12}, "bad_request"),
        ({"type": "unsubscribe", "channel": "never subscribed"}, "not_found"),
        ({"channel": "test", "eventName": "ping", "payload": {"value": "spoofed"}}, "bad_request"),
        ({"type": "connect", "token": 5}, "bad_request"),
    ],
    ids=lambda value: repr(value)[:70],
)
async def test_a_command_that_makes_no_sense_leaves_everything_as_it_was(
    shared_open: ServerProcess, channel: str, command: dict[str, Any], code: str
) -> None:
    async with wire(shared_open.ws_url) as client:
        await client.subscribe(channel)
        answer = await client.ask(**command)
        assert (answer["type"], answer["code"], bool(answer["message"])) == ("error", code, True)
        _broadcast(shared_open, {"channel": channel})
        assert [p["offset"] for p in await client.publications(1)] == [1]


async def test_a_second_subscription_is_refused_and_delivers_nothing_twice(
    shared_open: ServerProcess, channel: str
) -> None:
    async with wire(shared_open.ws_url) as client:
        await client.subscribe(channel)
        assert (await client.ask(type="subscribe", channel=channel))["code"] == "already_subscribed"
        _broadcast(shared_open, {"channel": channel})
        await client.publications(1)
        await client.nothing_waits()


async def test_names_are_compared_as_given(shared_open: ServerProcess, channel: str) -> None:
    precomposed, decomposed = f"{channel}\u00e9", f"{channel}e\u0301"
    names = [precomposed, decomposed, channel.upper(), f" {channel}", f"{channel} ", f"{channel}\u0000", f"{channel}?"]
    async with wire(shared_open.ws_url) as client:
        for name in names:
            await client.subscribe(name)
        _broadcast(shared_open, *[{"channel": name} for name in reversed(names)], {"channel": channel})
        assert [p["channel"] for p in await client.publications(len(names))] == names[::-1]
        await client.nothing_waits()


# ── order ──


async def test_publications_of_a_channel_arrive_in_offset_order_everywhere(
    shared_open: ServerProcess, channel: str
) -> None:
    async def publish(http: httpx.AsyncClient, name: str) -> None:
        for number in range(40):
            answer = await http.post("/api/broadcast", json={"channel": channel, "payload": [name, number]})
            assert answer.status_code == 200

    async with wire(shared_open.ws_url) as one, wire(shared_open.ws_url) as two, wire(shared_open.ws_url) as prefix:
        await one.subscribe(channel)
        await two.subscribe(channel)
        await prefix.subscribe(f"{channel}*")
        async with httpx.AsyncClient(base_url=shared_open.url) as http:
            await asyncio.gather(*[publish(http, name) for name in "abcd"])
        received = [await client.publications(160) for client in (one, two, prefix)]
    assert received[0] == received[1] == received[2]
    assert [p["offset"] for p in received[0]] == list(range(1, 161))
    for name in "abcd":
        assert [p["payload"][1] for p in received[0] if p["payload"][0] == name] == list(range(40))


# ── since ──


async def test_since_replays_exactly_what_was_missed_then_goes_on_live(
    shared_open: ServerProcess, channel: str
) -> None:
    results = _broadcast(shared_open, *_numbered(channel, 5))
    async with wire(shared_open.ws_url) as client:
        answer = await client.subscribe(channel, since=_since(results[1]), id=9)
        assert answer == {
            "type": "subscribed", "channel": channel, "id": 9, "recovered": True, **_since(results[1]),
        }  # fmt: skip
        _broadcast(shared_open, {"channel": channel, "payload": 6})
        assert [p["payload"] for p in await client.publications(4)] == [3, 4, 5, 6]
        await client.nothing_waits()


async def test_since_the_newest_has_missed_nothing(shared_open: ServerProcess, channel: str) -> None:
    newest = _broadcast(shared_open, *_numbered(channel, 3))[-1]
    async with wire(shared_open.ws_url) as client:
        assert (await client.subscribe(channel, since=_since(newest)))["recovered"] is True
        await client.nothing_waits()


async def test_a_position_from_before_the_first_publication_recovers(shared_open: ServerProcess, channel: str) -> None:
    async with wire(shared_open.ws_url) as before:
        start = _since(await before.subscribe(channel))
    _broadcast(shared_open, *_numbered(channel, 2))
    async with wire(shared_open.ws_url) as after:
        assert (await after.subscribe(channel, since=start))["recovered"] is True
        assert [p["payload"] for p in await after.publications(2)] == [1, 2]


@pytest.mark.parametrize(
    "change",
    [{"epoch": "another"}, {"epoch": ""}, {"offset": 99}, {"offset": -1}, {"offset": 2**64}, {"offset": 10**300}],
    ids=lambda change: repr(change)[:40],
)
async def test_a_position_that_never_was_is_not_recovered(
    shared_open: ServerProcess, channel: str, change: dict[str, Any]
) -> None:
    newest = _broadcast(shared_open, *_numbered(channel, 3))[-1]
    async with wire(shared_open.ws_url) as client:
        answer = await client.subscribe(channel, since={**_since(newest), **change})
        assert (answer["recovered"], answer["offset"], answer["epoch"]) == (False, 3, newest["epoch"])
        _broadcast(shared_open, {"channel": channel, "payload": "live"})
        assert [p["payload"] for p in await client.publications(1)] == ["live"]


async def test_without_since_nothing_is_said_to_be_recovered(shared_open: ServerProcess, channel: str) -> None:
    newest = _broadcast(shared_open, *_numbered(channel, 3))[-1]
    async with wire(shared_open.ws_url) as client:
        answer = await client.subscribe(channel)
        assert (answer["recovered"], _since(answer)) == (False, _since(newest))
        await client.nothing_waits()


async def test_what_retention_dropped_is_admitted(tmp_path: Path) -> None:
    with run_server(tmp_path, history_size=3) as server:
        results = _broadcast(server, *_numbered("c", 10))
        async with wire(server.ws_url) as client:
            assert (await client.subscribe("c", since=_since(results[5])))["recovered"] is False
            await client.ask(type="unsubscribe", channel="c")
            assert (await client.subscribe("c", since=_since(results[6])))["recovered"] is True
            assert [p["payload"] for p in await client.publications(3)] == [8, 9, 10]


async def test_the_memory_engine_admits_that_a_restart_lost_everything(tmp_path: Path) -> None:
    with run_server(tmp_path, engine="memory") as server:
        newest = _broadcast(server, *_numbered("c", 2))[-1]
        server.restart()
        async with wire(server.ws_url) as client:
            answer = await client.subscribe("c", since=_since(newest))
            assert (answer["recovered"], answer["offset"]) == (False, 0)
            assert answer["epoch"] != newest["epoch"]


# ── wildcards ──


async def test_a_wildcard_takes_what_starts_with_its_prefix(shared_open: ServerProcess, channel: str) -> None:
    async with wire(shared_open.ws_url) as client:
        answer = await client.subscribe(f"{channel}:*")
        assert (answer["channel"], answer["recovered"]) == (f"{channel}:*", False)
        names = [f"{channel}:", f"{channel}:a", f"{channel}", f"{channel}:a:b", f"x{channel}:a", f"{channel}:*"]
        _broadcast(shared_open, *[{"channel": name} for name in names])
        assert [p["channel"] for p in await client.publications(4)] == [names[0], names[1], names[3], names[5]]
        await client.nothing_waits()


async def test_overlapping_subscriptions_deliver_once(shared_open: ServerProcess, channel: str) -> None:
    async with wire(shared_open.ws_url) as client:
        for name in (f"{channel}:a", f"{channel}:*", f"{channel}*"):
            await client.subscribe(name)
        _broadcast(shared_open, {"channel": f"{channel}:a"}, {"channel": f"{channel}:b"})
        assert [p["channel"] for p in await client.publications(2)] == [f"{channel}:a", f"{channel}:b"]
        await client.nothing_waits()


async def test_a_wildcard_recovers_by_the_journal_and_by_its_last_publication(
    shared_open: ServerProcess, channel: str
) -> None:
    async with wire(shared_open.ws_url) as before:
        start = _since(await before.subscribe(f"{channel}:*"))
    messages = [{"channel": f"{channel}:{name}", "payload": name} for name in "abc"]
    results = _broadcast(shared_open, messages[0], {"channel": f"{channel}-other"}, *messages[1:])
    async with wire(shared_open.ws_url) as client:
        assert (await client.subscribe(f"{channel}:*", since=start))["recovered"] is True
        assert [p["payload"] for p in await client.publications(3)] == ["a", "b", "c"]
    async with wire(shared_open.ws_url) as client:
        since = {"channel": f"{channel}:a", **_since(results[0])}
        assert (await client.subscribe(f"{channel}:*", since=since))["recovered"] is True
        assert [p["payload"] for p in await client.publications(2)] == ["b", "c"]
        await client.nothing_waits()


# ── presence ──


def _presence_config(tmp_path: Path) -> dict[str, Any]:
    config = tmp_path / "rtm.toml"
    config.write_text('presence_interval_s = 0.05\n[[namespaces]]\nprefix = "chat:"\npresence = true\n')
    return {"config": config}


async def _next_presence(client: Wire, connections: int) -> dict[str, Any]:
    while True:
        frame = await client.receive()
        assert frame["type"] == "presence", frame
        if frame["connections"] == connections:
            return frame


async def test_presence_tells_who_is_there_and_who_came_and_went(tmp_path: Path) -> None:
    with run_server(tmp_path / "data", **_presence_config(tmp_path)) as server:
        async with wire(server.ws_url) as watcher:
            answer = await watcher.subscribe("chat:general", presence=True)
            assert answer["presence"] == {"connections": 1, "users": {}}
            async with wire(server.ws_url) as other:
                await other.subscribe("chat:general")
                assert (await _next_presence(watcher, 2))["channel"] == "chat:general"
            assert (await _next_presence(watcher, 1))["users"] == 0
            refused = await watcher.ask(type="subscribe", channel="elsewhere", presence=True)
            assert refused["code"] == "forbidden"


async def test_an_old_listener_that_names_a_channel_twice_counts_once(tmp_path: Path) -> None:
    with run_server(tmp_path / "data", **_presence_config(tmp_path)) as server:
        async with wire(server.ws_url) as watcher:
            await watcher.subscribe("chat:general", presence=True)
            async with wire(f"{server.ws_url}?channel=chat:general&channel=chat:general", subprotocol=False):
                await _next_presence(watcher, 2)
            await _next_presence(watcher, 1)


# ── the handshake ──


async def test_limits_of_a_connection_are_told(tmp_path: Path) -> None:
    with run_server(tmp_path, max_channels_per_connection=2) as server:
        async with wire(server.ws_url) as client:
            await client.subscribe("a")
            await client.subscribe("b")
            assert (await client.ask(type="subscribe", channel="c"))["code"] == "limit_exceeded"
            await client.ask(type="unsubscribe", channel="a")
            await client.subscribe("c")


# ── many at once ──


@pytest.mark.parametrize("io_uring", [True, False])
async def test_both_ways_to_write_deliver_the_same_and_the_log_says_which(tmp_path: Path, *, io_uring: bool) -> None:
    if io_uring:
        require_ring()
    with run_server(tmp_path, io_uring=io_uring) as server:
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(wire(server.ws_url)) for _ in range(20)]
            for client in clients:
                await client.subscribe("a")
            _broadcast(server, *({"channel": "a", "payload": number} for number in range(3)))

            for client in clients:
                assert [message["payload"] for message in await client.publications(3)] == [0, 1, 2]
        (started,) = (json.loads(line) for line in server.log if "server.started" in line)
    assert started["io_uring"] is io_uring


# ── compression ──


async def test_who_wants_compression_and_who_does_not_get_the_same(tmp_path: Path) -> None:
    payload = "a message that compresses well, " * 100
    with run_server(tmp_path, compression=True) as server:
        async with (
            connect(server.ws_url, subprotocols=["rtm.v1"]) as deflating,  # type: ignore[list-item]
            connect(server.ws_url, subprotocols=["rtm.v1"], compression=None) as plain,  # type: ignore[list-item]
        ):
            for client in (deflating, plain):
                await client.send('{"type":"subscribe","channel":"a"}' + " " * 500)
                assert b"subscribed" in await client.recv(decode=False)
            _broadcast(server, {"channel": "a", "payload": payload}, {"channel": "a", "payload": "short"})

            received = [[json.loads(await client.recv()) for _ in range(2)] for client in (deflating, plain)]

        assert received[0] == received[1]
        assert [frame["payload"] for frame in received[0]] == [payload, "short"]
        assert "permessage-deflate" in (
            deflating.response.headers["Sec-WebSocket-Extensions"] if deflating.response else ""
        )
