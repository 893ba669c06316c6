"""The HTTP interface without a socket: from a request to the parts behind it, and errors in one form."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from apex_rtm.app import Parts, compose
from apex_rtm.settings import load_settings
from tests.support.clock import FakeClock
from tests.support.fault import Disk
from tests.support.server import API_KEY, JWT_SECRET

KEY = {"X-API-Key": API_KEY}


class Bridge:
    """A composed server whose HTTP interface is called directly."""

    def __init__(self, parts: Parts, http: httpx.AsyncClient) -> None:
        self.parts = parts
        self.http = http

    async def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post(path, content=content, **options)


@contextlib.asynccontextmanager
async def bridge(*, secured: bool = False, **settings: Any) -> AsyncIterator[Bridge]:
    secrets = {"api_keys": [API_KEY], "jwt_secret": JWT_SECRET} if secured else {}
    parts = compose(load_settings({"engine": "memory", **secrets, **settings}, {}), FakeClock())
    await parts.engine.start(parts.hub)
    transport = httpx.ASGITransport(parts.config.app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", headers=KEY if secured else {}
    ) as http:
        yield Bridge(parts, http)
    await parts.engine.stop()


def failure(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["ok"] is False
    assert body["message"]
    assert set(body) == {"ok", "code", "message"}
    return answer.status_code, body["code"]


# ── publishing ──


async def test_a_message_is_published_and_its_place_is_told() -> None:
    async with bridge() as rtm:
        answer = await rtm.post("/api/broadcast", {"channel": "a", "id": "x"})

        top = rtm.parts.engine.journal.top("a")
        assert answer.json() == {"ok": True, "id": "x", "epoch": top.epoch, "offset": 1}
        assert (await rtm.post("/api/broadcast", {"channel": "a", "id": "x"})).json() == answer.json()


async def test_a_batch_has_one_result_for_each_message() -> None:
    async with bridge() as rtm:
        answer = await rtm.post("/api/broadcast/batch", {"messages": [{"channel": "a"}, {}, {"channel": "a"}]})

    first, second, third = answer.json()["results"]
    assert (first["offset"], third["offset"]) == (1, 2)
    assert second == {"ok": False, "code": "channel_required", "message": "channel is required"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", (400, "channel_required")), (b"{", (400, "invalid_json")), (b"[]", (400, "bad_request")),
        (b'{"channel":"a","payload":1e999}', (400, "invalid_json")), (b"x" * 3000, (413, "too_large")),
    ],
)  # fmt: skip
async def test_a_refused_message_has_a_status_and_a_code(content: bytes, expected: tuple[int, str]) -> None:
    async with bridge(max_message_bytes=1024, max_body_bytes=2048) as rtm:
        assert failure(await rtm.post("/api/broadcast", content)) == expected


async def test_a_body_that_never_says_its_length_is_counted() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000

    async with bridge(max_message_bytes=1024, max_body_bytes=2048) as rtm:
        assert failure(await rtm.http.post("/api/broadcast", content=endless())) == (413, "too_large")


async def test_a_body_that_does_not_come_in_time_is_given_up() -> None:
    async def hesitating() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with bridge(body_timeout_s=0.01) as rtm:
        answer = await rtm.http.post("/api/broadcast", content=hesitating())

    assert failure(answer) == (408, "timeout")
    assert answer.headers["Connection"] == "close"


async def test_a_publisher_that_goes_away_is_no_fault_of_ours() -> None:
    async with bridge() as rtm:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/api/broadcast", "query_string": b"",
                 "headers": [(b"host", b"localhost")]}  # fmt: skip
        with structlog.testing.capture_logs() as logs:
            app: Any = rtm.parts.config.app
            await app(scope, receive, send)

        assert sent[0]["status"] == 400
        assert logs == []


async def test_a_full_disk_is_unavailable_and_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    disk.install(monkeypatch)
    async with bridge(engine="sqlite", data_dir=tmp_path) as rtm:
        with disk.failing("begin"):
            assert failure(await rtm.post("/api/broadcast", {"channel": "a"})) == (503, "unavailable")
            ready = await rtm.http.get("/health/ready")
            assert failure(ready) == (503, "unavailable")
            assert "free some room" in ready.json()["message"]
        assert (await rtm.http.get("/health/live")).json() == {"ok": True}
        assert (await rtm.post("/api/broadcast", {"channel": "a"})).status_code == 200
        assert (await rtm.http.get("/health/ready")).json() == {"ok": True}


# ── keys ──

KEYED = [
    ("POST", "/api/broadcast"), ("POST", "/api/broadcast/batch"), ("POST", "/api/tokens"), ("POST", "/api/revoke"),
    ("GET", "/api/channels"), ("GET", "/api/channels/a/history"), ("GET", "/api/channels/a/presence"),
    ("GET", "/api/connections"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), KEYED)
@pytest.mark.parametrize(
    "headers",
    [{"X-API-Key": "wrong"}, {"X-API-Key": ""}, {"Authorization": f"Basic {API_KEY}"}, {"Authorization": "Bearer"},
     {"X-API-Key": "wrong", "Authorization": f"Bearer {API_KEY}"}],
)  # fmt: skip
async def test_without_the_key_nothing_is_done(method: str, path: str, headers: dict[str, str]) -> None:
    async with bridge(secured=True) as rtm:
        rtm.http.headers.pop("X-API-Key")
        assert failure(await rtm.http.request(method, path, headers=headers)) == (401, "unauthorized")


@pytest.mark.parametrize(
    "headers", [KEY, {"Authorization": f"Bearer {API_KEY}"}, {"Authorization": f"bearer  {API_KEY} "}]
)
async def test_the_key_comes_in_either_header(headers: dict[str, str]) -> None:
    async with bridge(secured=True) as rtm:
        rtm.http.headers.pop("X-API-Key")
        assert (await rtm.http.get("/api/channels", headers=headers)).status_code == 200


async def test_health_and_the_front_page_need_no_key() -> None:
    async with bridge(secured=True) as rtm:
        rtm.http.headers.pop("X-API-Key")
        assert (await rtm.http.get("/")).text == "RTM WebSocket / REST bridge is running"
        for path in ("/health/live", "/health/ready", "/openapi.json"):
            assert (await rtm.http.get(path)).status_code == 200


async def test_open_mode_has_its_walls_in_front_of_everything() -> None:
    async with bridge() as rtm:
        for path in ("/", "/health/live", "/api/channels", "/nothing"):
            assert failure(await rtm.http.get(path, headers={"Via": "1.1 proxy"})) == (403, "open_mode")
            assert failure(await rtm.http.get(path, headers={"Host": "rtm.example.com"})) == (403, "open_mode")


# ── tokens and revoking ──


async def test_a_token_is_minted_for_a_browser() -> None:
    async with bridge(secured=True) as rtm:
        body = {"user": "SCOTT", "sessionId": "7", "channels": ["a"], "ttlSeconds": 60}
        answer = (await rtm.post("/api/tokens", body)).json()

        assert answer["expiresAt"] == int(rtm.parts.gateway.clock.now()) + 60
        assert answer["token"].count(".") == 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "bad_request"), ({"user": "", "channels": []}, "bad_request"), ({"user": "A"}, "bad_request"),
        ({"user": "A", "channels": [""]}, "channel_required"), ({"user": "A", "channels": ["x" * 4001]}, "bad_request"),
        ({"user": "A", "channels": [], "ttlSeconds": 0}, "bad_request"),
        ({"user": "A", "channels": [], "ttlSeconds": 86_401}, "bad_request"), (b"{", "invalid_json"),
        ({"user": "A", "channels": [str(number) for number in range(1001)]}, "bad_request"),
    ],
)  # fmt: skip
async def test_a_token_that_cannot_be_minted(body: Any, code: str) -> None:
    async with bridge(secured=True) as rtm:
        assert failure(await rtm.post("/api/tokens", body)) == (400, code)


async def test_open_mode_has_no_tokens() -> None:
    async with bridge() as rtm:
        assert failure(await rtm.post("/api/tokens", {"user": "SCOTT", "channels": []})) == (409, "open_mode")


async def test_revoking_says_what_has_ended() -> None:
    async with bridge(secured=True) as rtm:
        for scope in ({"user": "SCOTT", "channel": "a"}, {"sessionId": "7"}, {"channel": "a"}):
            answer = await rtm.post("/api/revoke", scope)
            assert answer.json() == {"ok": True, "connections": 0, "subscriptions": 0}

        for body, code in [({}, "bad_request"), ({"user": None}, "bad_request"), ({"channel": ""}, "channel_required")]:
            assert failure(await rtm.post("/api/revoke", body)) == (400, code)


# ── looking ──


async def test_channels_history_presence_and_connections() -> None:
    async with bridge() as rtm:
        for number in range(3):
            await rtm.post("/api/broadcast", {"channel": "a/b c", "payload": number})
        epoch = rtm.parts.engine.journal.top("a/b c").epoch

        listed = (await rtm.http.get("/api/channels?prefix=a")).json()
        assert [(one["channel"], one["offset"]) for one in listed["channels"]] == [("a/b c", 3)]
        for path in ("/api/channels/a/b%20c/history", "/api/channels/a%2Fb%20c/history"):
            history = (await rtm.http.get(f"{path}?limit=2&epoch={epoch}&offset=1")).json()
            assert [one["payload"] for one in history["publications"]] == [1, 2]
        presence = (await rtm.http.get("/api/channels/a/b%20c/presence")).json()
        assert presence == {"ok": True, "channel": "a/b c", "connections": 0, "users": {}}
        connections = (await rtm.http.get("/api/connections?user=SCOTT&channel=a")).json()
        assert connections == {"ok": True, "connections": [], "more": False, "total": 0}


@pytest.mark.parametrize(
    "query",
    ["limit=-1", "limit=1001", "limit=x", "limit=", "limit=1.5", "offset=-1", "offset=" + "9" * 30, "limit=%D9%A3"],
)
async def test_a_number_out_of_bounds(query: str) -> None:
    async with bridge() as rtm:
        assert failure(await rtm.http.get(f"/api/channels/a/history?{query}")) == (400, "bad_request")


# ── everything else ──


async def test_a_path_or_a_method_that_is_not_there() -> None:
    async with bridge() as rtm:
        assert failure(await rtm.http.get("/nothing")) == (404, "not_found")
        assert failure(await rtm.http.get("/api/broadcast/")) == (404, "not_found")
        answer = await rtm.http.get("/api/broadcast")
        assert failure(answer) == (405, "method_not_allowed")
        assert answer.headers["Allow"] == "POST"


async def test_a_fault_says_nothing_of_its_reason() -> None:
    async with bridge() as rtm:
        rtm.parts.engine.journal.channels = None  # type: ignore[assignment]
        with structlog.testing.capture_logs() as logs:
            answer = await rtm.http.get("/api/channels")

    assert failure(answer) == (500, "internal")
    assert "NoneType" not in answer.text
    assert [entry["event"] for entry in logs] == ["request.failed"]


async def test_while_it_drains_it_is_alive_and_not_ready() -> None:
    async with bridge() as rtm:
        rtm.parts.hub.draining = True

        assert (await rtm.http.get("/health/live")).status_code == 200
        assert failure(await rtm.http.get("/health/ready")) == (503, "unavailable")


async def test_the_description_for_machines_is_served() -> None:
    async with bridge() as rtm:
        assert (await rtm.http.get("/openapi.json")).json()["info"]["title"] == "apex-rtm"
