"""The disk is full: publishing says so, everything else goes on, and it ends by itself when there is room again."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from apex_rtm.engine.sqlite import FILE_NAME
from tests.hardening.limited import limit_file_size, rss_bytes, small_disk
from tests.support.server import ServerProcess, run_server
from tests.support.wire import Wire, wire

pytestmark = pytest.mark.slow
DEADLINE_S = 20.0


def _publish_until_refused(server: ServerProcess) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Publish large messages, then small ones, until not even those fit; return what was accepted and the refusal."""
    accepted: list[dict[str, Any]] = []
    with server.client() as http:
        for size in (20_000, 1):
            while (answer := http.post("/api/broadcast", json={"channel": "test", "payload": "x" * size})).is_success:
                accepted.append(answer.json())
            assert answer.status_code == 503, answer.text
    return accepted, answer.json()


def _is_unready_after_a_refusal(server: ServerProcess) -> bool:
    """Ready is looked at right after a refusal: the next try of the housekeeping may be small enough to fit."""
    with server.client() as http:
        assert http.post("/api/broadcast", json={"channel": "test"}).status_code == 503
        ready = http.get("/health/ready")
        return ready.status_code == 503 and ready.json()["code"] == "unavailable"


def _wait_until_ready(server: ServerProcess) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while httpx.get(f"{server.url}/health/ready").status_code != 200:
        assert time.monotonic() < deadline, "the server did not recover"


async def _live_through(server: ServerProcess, fill: Callable[[], None], free: Callable[[], None]) -> int:
    """The whole story; return how many publications were accepted in the end."""
    async with wire(server.ws_url, max_size=None) as subscriber:
        start = await subscriber.subscribe("test")
        with server.client() as http:
            assert http.post("/api/broadcast", json={"channel": "test", "payload": [-1, ""]}).status_code == 200
        fill()
        accepted, refusal = _publish_until_refused(server)
        assert refusal["code"] == "unavailable"
        assert "the log cannot be written" in refusal["message"]
        await _check_while_full(server, subscriber, start, len(accepted) + 1)
        free()
        _wait_until_ready(server)
        with server.client() as http:
            answer = http.post("/api/broadcast", json={"channel": "test", "payload": ["after"]})
        assert (answer.status_code, answer.json()["offset"]) == (200, len(accepted) + 2)  # no hole where a refusal was
        assert [p["payload"] for p in await subscriber.publications(1)] == [["after"]]
        return len(accepted) + 2


async def _check_while_full(server: ServerProcess, subscriber: Wire, start: dict[str, Any], count: int) -> None:
    with server.client() as http:
        assert http.get("/health/live").status_code == 200
    assert any(_is_unready_after_a_refusal(server) for _ in range(5))
    # Whoever listens stays and has seen exactly what was accepted.
    offsets = [p["offset"] for p in await subscriber.publications(count)]
    assert offsets == list(range(1, count + 1))
    await subscriber.nothing_waits()
    async with wire(server.ws_url, max_size=None) as late:
        since = {"epoch": start["epoch"], "offset": start["offset"]}
        assert (await late.subscribe("test", since=since))["recovered"] is True
        assert len(await late.publications(count)) == count
    before = rss_bytes(server.pid)
    with server.client() as http:
        for _ in range(50):
            answer = http.post("/api/broadcast", json={"channel": "test", "payload": "y" * 500_000})
            assert answer.status_code == 503
    assert rss_bytes(server.pid) - before < 20_000_000  # refused is not remembered


def _check_file(path: Path, count: int) -> None:
    with sqlite3.connect(path) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        assert db.execute("select count(*) from publication").fetchone() == (count,)
    db.close()


async def test_a_log_that_may_not_grow_refuses_and_recovers(tmp_path: Path) -> None:
    """A quota is reached (EFBIG): an answer of 200 that is not on disk is a lie that the next crash tells."""
    with run_server(tmp_path) as server:
        count = await _live_through(
            server, lambda: limit_file_size(server.pid, 1_000_000), lambda: limit_file_size(server.pid, -1)
        )
        server.kill()
        _check_file(tmp_path / FILE_NAME, count)
        server.start()
        with server.client() as http:
            kept = http.get("/api/channels/test/history", params={"limit": 1000}).json()
        assert (kept["offset"], len(kept["publications"])) == (count, count)


async def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    """The same with a disk that has no room left (ENOSPC), on which not even a rollback journal can be written."""
    with small_disk(tmp_path, 3_000_000) as (server, disk):
        ballast = disk / "ballast"
        count = await _live_through(server, lambda: _write(ballast, 1_000_000), ballast.unlink)
        kept = tmp_path / "kept"
        server_disk = disk / "data"
        assert server.process is not None
        shutil.copytree(server_disk, kept)  # while it runs: what a crash would find
        _check_file(kept / FILE_NAME, count)
        assert server.stop() == 0


def _write(path: Path, size_bytes: int) -> None:
    path.write_bytes(b"\0" * size_bytes)
