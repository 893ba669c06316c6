"""/metrics of the real server: who may read it, and that each figure moves when the thing happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from websockets.exceptions import InvalidStatus

from apex_rtm import __version__, metrics
from apex_rtm.edge.intake import Intake
from apex_rtm.errors import Refused
from apex_rtm.metrics import Node, metrics_routes
from tests.support.core import Core
from tests.support.exposition import Samples, scrape
from tests.support.server import API_KEY, SECURED, ServerProcess, run_server
from tests.support.tokens import make_token
from tests.support.wire import wire

METRICS_KEY = "a-key-for-prometheus"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One in secured mode with a small outbox."""
    settings = {"metrics_key": METRICS_KEY, "outbox_max_bytes": 65_536, "max_message_bytes": 65_536}
    with run_server(tmp_path_factory.mktemp("metrics"), **SECURED, **settings) as running:
        yield running


class Watch:
    """What changed since the beginning of a `with` block."""

    def __init__(self, server: ServerProcess) -> None:
        self._http = server.client()
        self._before = scrape(self._http)

    def moved(self) -> Samples:
        """How much each sample has grown; new ones count from 0."""
        after = scrape(self._http)
        return {name: value - self._before.get(name, 0) for name, value in after.items()}

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()


async def moves(watch: Watch, name: str, by: float = 1) -> None:
    """Wait until a sample has grown that much: what ends a connection is heard of a little later."""
    async with asyncio.timeout(10):
        while True:
            if watch.moved().get(name, 0) >= by:
                return
            await asyncio.sleep(0.02)


# ── who may read it ──


def test_it_needs_an_api_key_or_its_own(server: ServerProcess) -> None:
    for headers, status in (
        ({}, 401), ({"X-API-Key": "wrong"}, 401), ({"X-API-Key": METRICS_KEY[:-1]}, 401),
        ({"X-API-Key": API_KEY}, 200), ({"Authorization": f"Bearer {METRICS_KEY}"}, 200),
    ):  # fmt: skip
        answer = httpx.get(f"{server.url}/metrics", headers=headers)
        assert answer.status_code == status, headers
        assert ("apex_rtm_" in answer.text) == (status == 200)


def test_its_own_key_opens_nothing_else(server: ServerProcess) -> None:
    headers = {"X-API-Key": METRICS_KEY}

    assert httpx.post(f"{server.url}/api/broadcast", headers=headers, json={"channel": "a"}).status_code == 401
    assert httpx.get(f"{server.url}/api/channels", headers=headers).status_code == 401


def test_open_mode_needs_no_key_but_answers_this_machine_only(open_server: ServerProcess) -> None:
    assert httpx.get(f"{open_server.url}/metrics").status_code == 200
    foreign = httpx.get(f"{open_server.url}/metrics", headers={"Host": "rebound.example.com"})
    assert foreign.json()["code"] == "open_mode"


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "find_spec", lambda _name: None)
    core = Core()
    node = Node(core.hub, core.quota, Intake(1, 1, 1, 1.0), "memory", "open", 1, 25.0, None, core.clock.monotonic)
    (route,) = metrics_routes(node, core.authorizer, None)
    request = Request({"type": "http", "method": "GET", "path": "/metrics", "headers": []})
    with pytest.raises(Refused, match=r"python -m pip install 'prometheus-client>=0.22'"):
        asyncio.run(route.endpoint(request))  # type: ignore[attr-defined]


def test_both_formats_are_spoken(server: ServerProcess) -> None:
    with server.client() as http:
        plain = http.get("/metrics")
        modern = http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert plain.headers["content-type"].startswith("text/plain")
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert modern.text.endswith("# EOF\n")
    assert plain.headers["cache-control"] == "no-store"


# ── that it moves ──


async def test_a_message_and_its_way(server: ServerProcess) -> None:
    async with wire(server.ws_url, token=make_token("SCOTT", "a")) as scott:
        await scott.subscribe("a")
        with Watch(server) as watch, server.client() as http:
            body = {"messages": [{"channel": "a", "payload": 1}, {"channel": "b"}]}
            assert http.post("/api/broadcast/batch", json=body).status_code == 200
            await scott.publications(1)
            moved = watch.moved()

    assert moved["apex_rtm_publications_total"] == 2
    assert moved['apex_rtm_namespace_publications_total{namespace="other"}'] == 2
    assert moved["apex_rtm_deliveries_total"] == 1
    assert moved["apex_rtm_delivered_bytes_total"] > 60
    assert moved["apex_rtm_fanout_seconds_count"] >= 1
    assert moved["apex_rtm_engine_append_seconds_count"] == 1
    assert moved["apex_rtm_engine_append_seconds_sum"] > 0
    assert moved['apex_rtm_http_requests_total{route="/api/broadcast/batch",status="2xx"}'] == 1
    assert moved['apex_rtm_http_request_seconds_count{route="/api/broadcast/batch"}'] == 1
    assert moved["apex_rtm_log_publications"] == 2


async def test_namespaces_that_are_configured_are_counted_apart(tmp_path: Path) -> None:
    config = tmp_path / "rtm.toml"
    config.write_text('[[namespaces]]\nprefix = "chat:"\n[[namespaces]]\nprefix = "chat:vip:"\n')
    with run_server(tmp_path / "data", config=config) as running, running.client() as http:
        for channel in ("chat:1", "chat:2", "chat:vip:1", "orders"):
            http.post("/api/broadcast", json={"channel": channel})
        samples = scrape(http)

    counted = {name: value for name, value in samples.items() if "namespace_publications" in name}
    assert counted == {
        'apex_rtm_namespace_publications_total{namespace="chat:"}': 2,
        'apex_rtm_namespace_publications_total{namespace="chat:vip:"}': 1,
        'apex_rtm_namespace_publications_total{namespace="other"}': 1,
    }


async def test_connections_come_and_go(server: ServerProcess) -> None:
    with Watch(server) as watch:
        async with wire(server.ws_url, token=make_token("SCOTT", "a*")) as scott:
            await scott.subscribe("a*")
            moved = watch.moved()
            assert moved["apex_rtm_connections"] == 1
            assert moved["apex_rtm_users"] == 1
            assert moved["apex_rtm_subscriptions"] == 1
            assert moved["apex_rtm_connections_opened_total"] == 1
        await moves(watch, 'apex_rtm_connections_closed_total{code="1000"}')
        async with wire(server.ws_url, token=make_token("KING", "a")) as king:
            king.socket.transport.abort()
            await moves(watch, 'apex_rtm_connections_closed_total{code="1006"}')
        assert watch.moved()["apex_rtm_connections"] == 0


async def test_what_is_refused_is_counted_by_its_cause(server: ServerProcess) -> None:
    with Watch(server) as watch, server.client() as http:
        assert http.post("/api/broadcast", headers={"X-API-Key": "wrong"}).status_code == 401
        async with wire(server.ws_url) as stranger:
            await stranger.ask(type="connect", token="nonsense")
        async with wire(server.ws_url) as late:
            await late.ask(type="connect", token=make_token("SCOTT", "a", ttl_s=-60))
        async with wire(server.ws_url, token=make_token("SCOTT", "a")) as scott:
            await scott.ask(type="subscribe", channel="b")
        with pytest.raises(InvalidStatus):
            async with wire(server.ws_url, origin="https://evil.example.com"):
                pass
        moved = watch.moved()

        assert {name: n for name, n in moved.items() if name.startswith("apex_rtm_refusals_total") and n} == {
            'apex_rtm_refusals_total{code="unauthorized",surface="http"}': 1,
            'apex_rtm_refusals_total{code="unauthorized",surface="websocket"}': 1,
            'apex_rtm_refusals_total{code="token_expired",surface="websocket"}': 1,
            'apex_rtm_refusals_total{code="forbidden",surface="websocket"}': 1,
            'apex_rtm_refusals_total{code="forbidden_origin",surface="websocket"}': 1,
        }
        await moves(watch, 'apex_rtm_connections_closed_total{code="4501"}')
        await moves(watch, 'apex_rtm_connections_closed_total{code="4001"}')


async def test_a_revoked_user_is_seen_to_go(server: ServerProcess) -> None:
    with Watch(server) as watch, server.client() as http:
        async with wire(server.ws_url, token=make_token("BLAKE", "a")) as blake:
            assert http.post("/api/revoke", json={"user": "BLAKE"}).json()["connections"] == 1
            assert await blake.close_code() == 4503
        await moves(watch, 'apex_rtm_connections_closed_total{code="4503"}')
        moved = watch.moved()

    assert (moved["apex_rtm_revocations_total"], moved["apex_rtm_revocations_in_force"]) == (1, 1)


async def test_recoveries_are_told_apart(server: ServerProcess) -> None:
    with Watch(server) as watch, server.client() as http:
        async with wire(server.ws_url, token=make_token("SCOTT", "r")) as scott:
            since = await scott.subscribe("r")
        http.post("/api/broadcast", json={"channel": "r"})
        for epoch in (since["epoch"], "another"):
            async with wire(server.ws_url, token=make_token("SCOTT", "r")) as scott:
                await scott.subscribe("r", since={"epoch": epoch, "offset": since["offset"]})
        moved = watch.moved()

    assert moved['apex_rtm_recoveries_total{recovered="true"}'] == 1
    assert moved['apex_rtm_recoveries_total{recovered="false"}'] == 1
    assert moved["apex_rtm_replayed_total"] == 1


@pytest.mark.slow
async def test_a_reader_that_stops_is_seen_to_be_slow(server: ServerProcess) -> None:
    messages = [{"channel": "slow", "payload": "x" * 60_000}] * 100
    with Watch(server) as watch, server.client() as http:
        async with wire(server.ws_url, token=make_token("SCOTT", "slow")) as scott:
            await scott.subscribe("slow")
            scott.socket.transport.pause_reading()
            async with asyncio.timeout(20):
                while not watch.moved()["apex_rtm_slow_closes_total"]:
                    await asyncio.to_thread(
                        http.post, "/api/broadcast/batch", content=json.dumps({"messages": messages})
                    )
            scott.socket.transport.abort()
        await moves(watch, 'apex_rtm_connections_closed_total{code="4002"}')


async def test_the_loop_is_watched_and_the_process_too(server: ServerProcess) -> None:
    with Watch(server) as watch, server.client() as http:
        await moves(watch, "apex_rtm_loop_lag_seconds_count", 3)
        samples = scrape(http)

    assert samples["process_resident_memory_bytes"] > 10_000_000
    assert samples["process_open_fds"] > 5
    assert samples["process_cpu_seconds_total"] > 0
    assert samples["apex_rtm_http_connections"] >= 1
    assert samples[f'apex_rtm_info{{engine="sqlite",mode="secured",version="{__version__}"}}'] == 1
