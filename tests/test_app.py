"""The composition root: settings in, a running server out, and everything stopped in the right order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from apex_rtm import app
from apex_rtm.app import Parts, compose, running, serve
from apex_rtm.channels import parse_pattern
from apex_rtm.edge.exchange import Exchange
from apex_rtm.edge.handshake import HandshakeProtocol
from apex_rtm.edge.intake import IntakeProtocol
from apex_rtm.edge.ws import Connection
from apex_rtm.engine.memory import MemoryEngine
from apex_rtm.engine.sqlite import SqliteEngine
from apex_rtm.errors import ConfigurationError, Refused
from apex_rtm.revocations import Revocation
from apex_rtm.session import Session
from apex_rtm.settings import Namespace, Settings, load_settings
from tests.support.certificate import make_certificate
from tests.support.clock import FakeClock
from tests.support.core import make_message
from tests.support.ring import require_ring
from tests.support.server import API_KEY, JWT_SECRET
from tests.support.wire import wire

SECURED = {"api_keys": [API_KEY], "jwt_secret": JWT_SECRET}


def make_settings(**values: Any) -> Settings:
    return load_settings({"engine": "memory", "port": 0, **values}, {})


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Descriptors that the system gives, as (soft, hard); what is set is appended."""
    given = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: given[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: given.append(limit))
    return given


# ── what is composed ──


def test_the_engine_is_the_one_of_the_settings(tmp_path: Path) -> None:
    assert isinstance(compose(make_settings()).engine, MemoryEngine)
    assert isinstance(compose(make_settings(engine="sqlite", data_dir=tmp_path)).engine, SqliteEngine)
    assert list(tmp_path.iterdir()) == []  # composing opens nothing


def test_secured_mode_has_keys_and_a_verifier_and_open_mode_neither() -> None:
    opened, secured = compose(make_settings()), compose(make_settings(**SECURED))

    assert (opened.gateway.is_open, secured.gateway.is_open) == (True, False)
    assert opened.relay is secured.relay is None


async def test_the_longest_namespace_that_fits_decides_what_is_kept_and_shown() -> None:
    namespaces = [
        Namespace(prefix="chat:", presence=True, history_size=2), Namespace(prefix="chat:quiet:", history_ttl_s=5),
    ]  # fmt: skip
    clock = FakeClock()
    parts = compose(make_settings(namespaces=namespaces, history_size=3, history_ttl_s=50), clock)

    await parts.engine.publish([make_message(name) for name in ("chat:a", "chat:quiet:a", "other") for _ in range(4)])
    kept = {name: len(log.entries) for name, log in parts.engine.journal.channels.items()}
    assert kept == {"chat:a": 2, "chat:quiet:a": 3, "other": 3}
    clock.advance(10)
    for _ in range(3):
        await parts.engine.tidy()
    kept = {name: len(log.entries) for name, log in parts.engine.journal.channels.items()}
    assert kept == {"chat:a": 2, "chat:quiet:a": 0, "other": 3}

    has_presence = app._session_limits(parts.settings).has_presence
    assert [has_presence(name) for name in ("chat:a", "chat:quiet:a", "other")] == [True, False, False]


# ── running ──


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clockwork that does not let a test wait."""
    monkeypatch.setattr(app, "_TICK_S", 0.001)
    monkeypatch.setattr(app, "_TIDY_REVOCATIONS_S", 0.001)


@pytest.mark.usefixtures("hurried")
async def test_the_clockwork_ticks_tidies_and_flushes(tmp_path: Path) -> None:
    clock = FakeClock()
    settings = make_settings(
        engine="sqlite", data_dir=tmp_path, presence_interval_s=0.001, history_ttl_s=1, channel_ttl_s=1, **SECURED
    )
    parts = compose(settings, clock)
    done = {name: asyncio.Event() for name in ("tick", "flush", "revocations", "engine")}
    parts.hub.tick = lambda _: done["tick"].set()  # type: ignore[method-assign, assignment]
    parts.hub.presence.flush = done["flush"].set  # type: ignore[method-assign]
    parts.hub.revocations.tidy = lambda _: done["revocations"].set()  # type: ignore[method-assign, assignment]
    parts.engine.journal.sweep = lambda _: done["engine"].set()  # type: ignore[method-assign, assignment]

    async with asyncio.timeout(5), running(parts):
        for event in done.values():
            await event.wait()


@pytest.mark.usefixtures("hurried")
async def test_a_fault_in_housekeeping_is_logged_and_does_not_end_it() -> None:
    parts = compose(make_settings())
    calls, again = [0], asyncio.Event()

    def tick(_now: float) -> None:
        calls[0] += 1
        if calls[0] > 2:
            again.set()
        raise ValueError("broken")

    parts.hub.tick = tick  # type: ignore[method-assign, assignment]
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(5), running(parts):
            await again.wait()

    assert {entry["event"] for entry in logs} == {"housekeeping.failed"}


async def test_revocations_of_the_last_run_are_in_force(tmp_path: Path) -> None:
    settings = make_settings(engine="sqlite", data_dir=tmp_path, **SECURED)
    clock = FakeClock()
    parts = compose(settings, clock)
    async with running(parts):
        await parts.hub.revoke(Revocation("SCOTT", None, "a", clock.now()))

    parts = compose(settings, clock)
    async with running(parts):
        identity = app._make_verifier(settings, clock)
        assert identity is not None
        token, _ = identity.mint("SCOTT", None, ["a"], 60)
        assert parts.hub.revocations.refuse_subscription(identity.verify(token), parse_pattern("a"))


async def test_the_engine_is_stopped_whatever_happened(tmp_path: Path) -> None:
    settings = make_settings(engine="sqlite", data_dir=tmp_path)
    parts = compose(settings)

    with pytest.raises(ZeroDivisionError):
        async with running(parts):
            raise ZeroDivisionError

    async with running(compose(settings)):  # the file is free again
        pass


def rings() -> int:
    """How many rings this process has. Each has three descriptors, as `mmap` keeps some of its own."""
    links = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough
    return sum("io_uring" in str(link.readlink()) for link in links if link.is_symlink()) // 3


@pytest.mark.parametrize(
    ("settings", "count"), [({}, 1), ({"io_uring": False}, 0), ({"tls": True}, 0)], ids=["on", "off", "under TLS"]
)
async def test_a_ring_is_there_for_as_long_as_the_server_runs(
    tmp_path: Path, settings: dict[str, Any], count: int
) -> None:
    require_ring()
    if settings.pop("tls", False):
        certificate = make_certificate(tmp_path)
        settings = {"tls_cert": certificate.cert, "tls_key": certificate.key}
    before = rings()
    parts = compose(make_settings(**settings))
    async with running(parts):
        assert (parts.gateway.burst.has_ring, rings() - before) == (count == 1, count)
    assert (parts.gateway.burst.has_ring, rings() - before) == (False, 0)


def test_who_fans_out_and_who_accepts_share_one_burst() -> None:
    """Otherwise nobody would tell it that a connection must not be written to any more."""
    parts = compose(make_settings())
    assert parts.hub.fanout._write == parts.gateway.burst.write


# ── serving ──


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
    """A server within this process. Who leaves the block has stopped it: `stop` sends the signal."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, ready.set_result))
    async with asyncio.timeout(10):
        yield await ready, task
        await task


def stop() -> None:
    """Send SIGTERM to the server in this process; once only, for it is handled only as long as the server runs."""
    os.kill(os.getpid(), signal.SIGTERM)


async def test_it_serves_until_it_is_told_to_stop() -> None:
    async with serving(make_settings(host="::1")) as (url, task):
        assert url.startswith("http://[::1]:")
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await http.get("/")).text == "RTM WebSocket / REST bridge is running"
            assert (await http.get("/health/ready")).status_code == 200
        assert not task.done()
        stop()

    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(url)


async def test_before_it_stops_it_says_so_to_everybody() -> None:
    async with serving(make_settings(drain_delay_s=1, reconnect_spread_s=2)) as (url, _):
        ws_url = url.replace("http", "ws", 1)
        async with wire(ws_url) as client, httpx.AsyncClient(base_url=url) as http:
            await client.subscribe("a")
            assert (await http.get("/health/ready")).status_code == 200
            stop()
            while (await http.get("/health/ready")).status_code == 200:
                continue
            with pytest.raises(Exception, match="HTTP 503"):
                async with wire(ws_url):
                    pass  # nobody new is let in while the others are still served

            assert await client.receive() == {"type": "draining", "reconnectWithinMs": 2000}
            assert await client.close_code() == 1012


async def test_what_has_ended_is_freed_without_a_collection() -> None:
    """A storm of clients that come and go must not pile up until the garbage collector finds the time."""

    def alive() -> int:
        kinds = {Connection, Exchange, HandshakeProtocol, IntakeProtocol, Refused, Session}
        return sum(type(one) in kinds for one in gc.get_objects())

    async with serving(make_settings(ping_interval_s=0.1)) as (url, _):
        gc.collect()
        before = alive()
        gc.disable()
        try:
            for _ in range(3):
                async with wire(url.replace("http", "ws", 1)) as client, httpx.AsyncClient(base_url=url) as http:
                    await client.subscribe("a")
                    assert (await http.post("/api/broadcast", json={"channel": "a"})).status_code == 200
                    await client.publications(1)
                    batch = {"messages": [{"channel": "b"}, {"channel": ""}]}
                    assert (await http.post("/api/broadcast/batch", json=batch)).json()["results"][0]["ok"]
                    assert (await http.post("/api/broadcast", content="{")).status_code == 400
                    assert alive() > before
            async with asyncio.timeout(10):
                while alive() > before:  # noqa: ASYNC110 - no event tells that a session's last wake-up is over
                    await asyncio.sleep(0.1)
        finally:
            gc.enable()
            stop()


async def test_a_server_that_cannot_use_its_port_does_not_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ConfigurationError, match="port: "):
        await serve(make_settings(port=other.getsockname()[1]), print)


async def test_a_server_that_cannot_use_its_directory_lets_its_port_go(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")

    with pytest.raises(ConfigurationError, match="data_dir: "):
        await serve(make_settings(engine="sqlite", data_dir=blocked / "data"), print)


def test_parts_name_everything() -> None:
    names = {"settings", "engine", "hub", "gateway", "intake", "config", "relay", "door", "pages"}
    assert set(Parts.__slots__) == names


def test_redis_needs_its_client_library(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "redis://user:top-secret@127.0.0.1:1/0"
    assert compose(make_settings(engine=url)).engine.is_shared

    monkeypatch.setattr("apex_rtm.engine.make.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'redis\[hiredis\]>=8'"):
        compose(make_settings(engine=url))
