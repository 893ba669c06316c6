"""Attacks by number: channels, subscriptions, ids and people without end, and names that are not what they seem."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.hardening.limited import rss_bytes
from tests.integration.raw import command, raw
from tests.support.core import Core
from tests.support.server import ServerProcess, run_server
from tests.support.wire import wire


def _publish(server: ServerProcess, messages: list[dict[str, Any]]) -> None:
    with server.client() as http:
        for start in range(0, len(messages), 1000):
            answer = http.post("/api/broadcast/batch", json={"messages": messages[start : start + 1000]})
            assert answer.status_code == 200
            assert all(result["ok"] for result in answer.json()["results"])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["memory", "sqlite"])
def test_a_hundred_thousand_channels_are_bounded(tmp_path: Path, engine: str) -> None:
    """A channel costs nothing to invent: a sender that puts a number into each name fills the memory for ever."""
    with run_server(tmp_path, engine=engine, max_channels=1000, idempotency_max_ids=1000) as server:
        _publish(server, [{"channel": f"warm-up:{number}", "id": f"{number}"} for number in range(2000)])
        before = rss_bytes(server.pid)
        _publish(server, [{"channel": f"flood:{number}", "id": f"id-{number}"} for number in range(100_000)])
        assert rss_bytes(server.pid) - before < 40_000_000
        with server.client() as http:
            listed = http.get("/api/channels", params={"limit": 1000, "prefix": "flood:"}).json()
            assert len(listed["channels"]) == 1000
            assert listed["more"] is False
            assert http.get("/api/channels/flood:99999/history").json()["offset"] == 1
        if engine == "sqlite":  # the file forgets them too, and a restart does not bring them back
            server.restart()
            with server.client() as http:
                assert len(http.get("/api/channels", params={"limit": 1000}).json()["channels"]) <= 1000


@pytest.mark.slow
def test_thousands_of_subscriptions_are_given_back(tmp_path: Path) -> None:
    """Subscriptions to names that nobody publishes to: bounded for each connection, and gone with it."""
    with run_server(tmp_path, engine="memory", command_rate=0, max_channels_per_connection=1000) as server:
        figures = []
        for _ in range(2):
            sockets = []
            for number in range(20):
                socket = raw(server.port)
                sockets.append(socket)
                connection = socket.__enter__()
                assert connection.upgrade(b"/", b"Sec-WebSocket-Protocol: rtm.v1\r\n").status == 101
                for start in range(0, 1001, 91):
                    names = [f"name:{number}:{index}" for index in range(start, start + 91)]
                    connection.send(*[command(type="subscribe", channel=name) for name in names])
                    answers = [json.loads(connection.read_frame()[1]) for _ in names]
                assert [answer.get("code") for answer in answers[-2:]] == [None, "limit_exceeded"]
            with server.client() as http:
                assert http.get("/api/connections").json()["total"] == 20
            for socket in sockets:
                socket.__exit__(None, None, None)
            with server.client() as http:
                while http.get("/api/connections").json()["total"]:
                    continue
                assert http.get("/api/channels").json()["channels"] == []
            figures.append(rss_bytes(server.pid))
        assert figures[1] - figures[0] < 10_000_000  # the second flood used the room of the first


NAMES = [
    "a" * 4000, "é" * 4000, "🎉" * 4000, "$", "#", ":", "?", "$SYS/#", "+/+", "a\u0000b", "\u202egnp.exe", "a",
    "\u0430", "\uff21", "a\u200b", " ", "\t", "\r\n", "a/../b", "%2e%2e", "%", "\\", "'; drop table channel; --", '"', "${jndi:ldap://x}",
    "{{7*7}}", "<script>alert(1)</script>", "\ufeff", "\uffff", "\U0010ffff", "null", "0", "-1", "__proto__",
    "constructor", "toString", "user:", "journal", "sqlite_master",
]  # fmt: skip


async def test_any_name_is_only_a_name(tmp_path: Path) -> None:
    """Signs that mean something to a database, a shell, a browser or another bus mean nothing here."""
    with run_server(tmp_path) as server:
        async with wire(server.ws_url, max_size=None) as client:
            for name in NAMES:
                await client.subscribe(name)
            _publish(server, [{"channel": name, "eventName": name[:130], "id": name[:128]} for name in NAMES])
            assert [p["channel"] for p in await client.publications(len(NAMES))] == NAMES
            await client.nothing_waits()
        server.restart()
        with server.client() as http:
            listed = {one["channel"]: one["offset"] for one in http.get("/api/channels").json()["channels"]}
            assert listed == dict.fromkeys(NAMES, 1)
            for name in NAMES[3:]:  # the first are too long for a URL
                history = http.get(f"/api/channels/{quote(name, safe='')}/history").json()
                assert [p["eventName"] for p in history["publications"]] == [name[:130]]


@pytest.mark.slow
async def test_a_presence_storm_is_told_in_few_words(tmp_path: Path) -> None:
    """Five hundred people come and go at once: told one by one to each other, that is a quarter of a million frames."""
    config = tmp_path / "rtm.toml"
    config.write_text(
        'presence_interval_s = 0.5\npresence_max_names = 20\n[[namespaces]]\nprefix = "chat:"\npresence = true\n'
    )
    with run_server(tmp_path / "data", config=config) as server:
        async with wire(server.ws_url) as watcher:
            await watcher.subscribe("chat:all", presence=True)
            sockets = [raw(server.port) for _ in range(500)]
            for socket in sockets:
                connection = socket.__enter__()
                connection.upgrade(b"/", b"Sec-WebSocket-Protocol: rtm.v1\r\n")
                connection.send(command(type="subscribe", channel="chat:all"))
            frames = [await watcher.receive()]
            while frames[-1]["connections"] != 501:
                frames.append(await watcher.receive())
            for socket in sockets:
                socket.__exit__(None, None, None)
            while frames[-1]["connections"] != 1:
                frames.append(await watcher.receive())
        assert {frame["type"] for frame in frames} == {"presence"}
        assert len(frames) < 100


async def test_a_presence_frame_names_a_bounded_number_of_people() -> None:
    """A thousand names in a frame for each of a thousand people: numbers only, above presence_max_names."""
    core = await Core(secured=True, max_names=10).start()
    watcher = core.connect("WATCHER", "chat:*")
    watcher.subscribe("chat:all", presence=True)
    core.hub.presence.flush()
    watcher.peer.take()
    others = [core.connect(f"USER{number}", "chat:*") for number in range(200)]
    for other in others:
        other.subscribe("chat:all")
    core.hub.presence.flush()
    frame = watcher.peer.take_one()
    assert (frame["connections"], frame["users"]) == (201, 201)
    assert "joined" not in frame
    assert "left" not in frame
    others[0].session.on_closed()
    others[1].session.on_closed()
    core.hub.presence.flush()
    assert sorted(watcher.peer.take_one()["left"]) == ["USER0", "USER1"]


async def test_coming_and_going_between_two_frames_is_not_told() -> None:
    """Who reloads a page a hundred times a second makes nobody's page redraw a hundred times."""
    core = await Core(secured=True).start()
    watcher = core.connect("WATCHER", "chat:*")
    watcher.subscribe("chat:all", presence=True)
    core.hub.presence.flush()
    watcher.peer.take()
    for _ in range(100):
        restless = core.connect("RESTLESS", "chat:*")
        restless.subscribe("chat:all")
        restless.session.on_closed()
    core.hub.presence.flush()
    frames = watcher.peer.take()
    assert len(frames) <= 1
    assert all(not frame["joined"] and not frame["left"] for frame in frames)
