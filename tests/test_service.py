"""A life of the service: ready, alive, reloaded, drained, and what the service manager hears of it."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import pty
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from uvicorn.config import Config

from apex_rtm import service as module
from apex_rtm.service import Duties, Service
from apex_rtm.systemd import Notifier
from tests.support.manager import Manager, run_manager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with run_manager(tmp_path) as heard:
        yield heard


async def hears(manager: Manager, name: str, count: int = 1) -> None:
    await asyncio.to_thread(manager.wait_for, name, count)


async def page(_scope: object, _receive: object, send: object) -> None:
    """An application that is never asked."""


class Life:
    """One service and what its duties did."""

    def __init__(self, notifier: Notifier) -> None:
        self.done: list[str] = []
        self.turn = asyncio.Condition()
        self.reload_fault: Exception | None = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        config = Config(page, lifespan="off", log_config=None)
        duties = Duties(lambda: self.done.append("ready"), self.reload, self.drain, lambda: f"{len(self.done)} turns")
        self.service = Service(config, duties, notifier)

    async def reload(self) -> None:
        async with self.turn:
            self.done.append("reload")
            self.turn.notify_all()
        if self.reload_fault is not None:
            raise self.reload_fault

    async def drain(self) -> None:
        self.done.append("drain")

    async def did(self, *turns: str) -> None:
        async with asyncio.timeout(5), self.turn:
            await self.turn.wait_for(lambda: self.done == list(turns))


@contextlib.asynccontextmanager
async def living(notifier: Notifier) -> AsyncIterator[Life]:
    life = Life(notifier)
    started = asyncio.Event()
    begin = life.service.startup

    async def startup(sockets: list[socket.socket] | None = None) -> None:
        await begin(sockets)
        started.set()

    life.service.startup = startup  # type: ignore[method-assign]
    with contextlib.closing(life.listener):
        task = asyncio.create_task(life.service.serve([life.listener]))
        async with asyncio.timeout(10):
            await started.wait()
            try:
                yield life
            finally:
                life.service.should_exit = True
                await task


async def test_a_whole_life_is_told_in_order(manager: Manager) -> None:
    async with living(Notifier(manager.address, watchdog_s=0.3)) as life:
        await hears(manager, "WATCHDOG", 2)
        os.kill(os.getpid(), signal.SIGHUP)
        await hears(manager, "READY", 2)
    assert life.done == ["ready", "reload", "drain"]
    await hears(manager, "STOPPING")
    texts = [text.split("\n")[0] for _, text in manager.heard if not text.startswith("WATCHDOG")]
    assert [text.split("=")[0] for text in texts] == ["READY", "RELOADING", "READY", "STOPPING"]
    assert manager.lines("STATUS")[0] == "0 turns"


async def test_a_loop_that_hangs_shows_no_life(manager: Manager) -> None:
    """The point of the watchdog: signs of life come from the event loop, so that a hung one has none."""
    async with living(Notifier(manager.address, watchdog_s=0.3)):
        await hears(manager, "WATCHDOG", 1)
        hung_at = time.monotonic()
        time.sleep(1)  # noqa: ASYNC251 - this is the hang
        hung_until = time.monotonic()
        await hears(manager, "WATCHDOG", len(manager.lines("WATCHDOG")) + 2)
        signs = [at for at, text in manager.heard if text.startswith("WATCHDOG")]
        # One may have been under way when the hang began.
        assert len([at for at in signs if hung_at + 0.1 < at < hung_until]) == 0
        assert len([at for at in signs if at >= hung_until]) >= 2


async def test_a_watched_service_says_where_it_hung(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    enabled: list[bool] = []
    monkeypatch.setattr(faulthandler, "enable", lambda *_, all_threads: enabled.append(all_threads))
    async with living(Notifier(manager.address)):
        await hears(manager, "READY")
    assert enabled == []
    async with living(Notifier(manager.address, watchdog_s=30)):
        await hears(manager, "READY", 2)
    assert enabled == [True]


async def test_several_hangups_at_once_are_one_reload_and_a_later_one_is_another(manager: Manager) -> None:
    async with living(Notifier(manager.address)) as life:
        for _ in range(5):
            os.kill(os.getpid(), signal.SIGHUP)
        await life.did("ready", "reload")
        await hears(manager, "READY", 2)
        os.kill(os.getpid(), signal.SIGHUP)
        await life.did("ready", "reload", "reload")


async def test_a_reload_that_fails_ends_nothing(manager: Manager) -> None:
    async with living(Notifier(manager.address)) as life:
        life.reload_fault = ValueError("broken file")
        with structlog.testing.capture_logs() as logs:
            os.kill(os.getpid(), signal.SIGHUP)
            await hears(manager, "READY", 2)  # systemctl reload would wait for it for good
        assert [entry["event"] for entry in logs] == ["reload.failed"]
        life.reload_fault = None
        os.kill(os.getpid(), signal.SIGHUP)
        await life.did("ready", "reload", "reload")


async def test_the_end_of_its_terminal_ends_it_and_no_terminal_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that is closed must not leave a server behind that nobody sees; a daemon reloads."""
    ours, theirs = pty.openpty()
    monkeypatch.setattr(module, "_STDIN", theirs)
    async with living(Notifier()) as life:
        os.kill(os.getpid(), signal.SIGHUP)
        await life.did("ready", "reload")
        assert not life.service.should_exit
        os.close(ours)
        life.service._hang_up()  # as the kernel has it done then
        assert life.service.should_exit
    os.close(theirs)


async def test_it_works_without_a_service_manager() -> None:
    async with living(Notifier()) as life:
        assert life.done == ["ready"]
    assert life.done == ["ready", "drain"]
