"""A relay inside a server: what the database does must not be felt there, and a stop loses nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from apex_rtm.app import compose, running
from apex_rtm.publish import Publisher
from apex_rtm.relay.counts import Counts
from apex_rtm.relay.door import BatchRejected, NotNow, Rejected, Taken
from apex_rtm.relay.local import LocalDoor
from apex_rtm.relay.relay import Relay
from apex_rtm.relay.thread import RelayThread
from apex_rtm.settings import Settings, load_settings
from tests.relay.fake_database import FakeDatabase, FakeStore
from tests.support.core import Core


def settings(tmp_path: Path, **values: object) -> Settings:
    return load_settings(
        {"engine": "memory", "port": 0, "data_dir": tmp_path, "relay_poll_least_s": 0.01, **values}, {}
    )


class Outbox(FakeStore):
    """A store on the relay's own loop, with real waits and events for the test's thread."""

    def __init__(self) -> None:
        super().__init__(FakeDatabase(), "inside")
        self.committed = threading.Event()
        self.opening = threading.Event()
        self.may_open = threading.Event()
        self.may_open.set()
        self.threads: set[str] = set()

    async def open(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.opening.set()
        assert self.may_open.wait(20)  # blocks the whole thread, as a name server does that never answers
        await super().open()

    async def commit(self) -> None:
        await super().commit()
        if any(stored.status == "SENT" for stored in self._database.rows.values()):
            self.committed.set()

    async def wait_for_wake(self, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s)


async def test_committed_rows_go_into_the_servers_own_log(tmp_path: Path) -> None:
    outbox = Outbox()
    outbox._database.insert("orders", payload='{"n":1}')
    parts = compose(settings(tmp_path), outbox=outbox)
    async with running(parts):
        assert await asyncio.to_thread(outbox.committed.wait, 10)
        assert parts.hub.journal.top("orders").offset == 1
    assert outbox.threads == {"relay"}
    assert parts.relay is not None
    assert parts.relay.counts.sent == 1
    assert outbox._database.turn is None


async def test_a_database_that_hangs_stops_nothing_but_its_relay(tmp_path: Path) -> None:
    outbox = Outbox()
    outbox.may_open.clear()
    parts = compose(settings(tmp_path), outbox=outbox)
    app: Any = parts.config.app
    async with running(parts), httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        assert await asyncio.to_thread(outbox.opening.wait, 10)
        answer = await http.post("http://localhost/api/broadcast", json={"channel": "a"})
        assert answer.status_code == 200
        assert (await http.get("http://localhost/health/ready")).status_code == 200
        outbox.may_open.set()


async def test_without_a_database_there_is_no_relay(tmp_path: Path) -> None:
    assert compose(settings(tmp_path)).relay is None


async def test_a_stop_waits_for_the_batch_that_is_under_way(tmp_path: Path) -> None:
    outbox = Outbox()
    outbox._database.insert("orders")
    publishing, go_on = threading.Event(), threading.Event()
    parts = compose(settings(tmp_path), outbox=outbox)
    original = outbox.fetch

    async def fetch(limit: int) -> list[object]:
        publishing.set()
        await asyncio.to_thread(go_on.wait, 10)
        return list(await original(limit))

    outbox.fetch = fetch  # type: ignore[method-assign, assignment]
    async with running(parts):
        assert await asyncio.to_thread(publishing.wait, 10)
        asyncio.get_running_loop().call_later(0.05, go_on.set)
    assert outbox._database.rows[1].status == "SENT"


async def test_a_batch_that_does_not_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apex_rtm.relay.thread._STOP_S", 0.1)
    outbox = Outbox()
    outbox._database.insert("orders")
    fetching = threading.Event()

    async def fetch(_limit: int) -> list[object]:
        fetching.set()
        await asyncio.sleep(3600)
        return []

    outbox.fetch = fetch  # type: ignore[method-assign, assignment]
    started = time.monotonic()
    async with running(compose(settings(tmp_path), outbox=outbox)):
        assert await asyncio.to_thread(fetching.wait, 10)
    assert time.monotonic() - started < 8
    assert outbox._database.rows[1].status == "PENDING"
    assert outbox._database.turn is None, "the session was closed, and with it its locks"


async def test_a_relay_that_was_never_started_can_be_stopped() -> None:
    def make(_loop: asyncio.AbstractEventLoop) -> Relay:
        raise AssertionError

    await RelayThread(make, Counts()).stop()


# ── the door inside ──


async def test_the_local_door_is_the_servers_own_publisher() -> None:
    core = await Core().start()
    loop = asyncio.get_running_loop()
    publisher = Publisher(
        core.engine, core.clock, max_message_bytes=1000, max_batch_messages=2, max_json_depth=5, publish_rate=0
    )
    door = LocalDoor(publisher, loop, 5)
    good = b'{"channel":"a","payload":1,"id":"m1"}'

    (taken,) = await door.publish([good])
    assert isinstance(taken, Taken)
    assert taken.offset == 1
    assert await door.publish([good]) == [taken]
    (rejected,) = await door.publish([b'{"channel":"a","payload":"%b"}' % (b"x" * 2000)])
    assert isinstance(rejected, Rejected)
    assert rejected.code == "too_large"
    with pytest.raises(BatchRejected, match="too_large"):
        await door.publish([good] * 3)
    with pytest.raises(BatchRejected, match="invalid_json"):
        await door.publish([b"[" * 9 + b"]" * 9])
    await door.close()


async def test_the_local_door_does_not_wait_for_ever() -> None:
    class Stuck:
        async def publish_batch(self, _body: bytes) -> list[object]:
            await asyncio.sleep(3600)
            return []

    door = LocalDoor(Stuck(), asyncio.get_running_loop(), 0.05)  # type: ignore[arg-type]
    with pytest.raises(NotNow, match="did not answer"):
        await door.publish([b"{}"])
