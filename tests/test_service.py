"""A life of the service: ready, alive, reloaded, drained, and what the service manager hears of it."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import pty
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from uvicorn.config import Config

from apex_rtm import service as module
from apex_rtm.service import Duties, Service
from apex_rtm.systemd import Notifier


class Manager:
    """A service manager: hears everything, in a thread of its own, with the time of each."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[tuple[float, str]] = []
        self._news = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while text := self._socket.recv(4096).decode():
            with self._news:
                self.heard.append((time.monotonic(), text))
                self._news.notify_all()

    def lines(self, name: str) -> list[str]:
        """The values of one variable, in order."""
        found = [line.split("=", 1) for _, text in self.heard for line in text.split("\n")]
        return [value for key, value in found if key == name]

    async def hears(self, name: str, count: int = 1) -> None:
        def wait() -> bool:
            with self._news:
                return self._news.wait_for(lambda: len(self.lines(name)) >= count, 5)

        assert await asyncio.to_thread(wait), f"{name} was not heard {count} times: {self.heard}"

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with contextlib.closing(Manager(str(tmp_path / "notify"))) as heard:
        yield heard


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
        await manager.hears("WATCHDOG", 2)
        os.kill(os.getpid(), signal.SIGHUP)
        await manager.hears("READY", 2)
    assert life.done == ["ready", "reload", "drain"]
    await manager.hears("STOPPING")
    texts = [text.split("\n")[0] for _, text in manager.heard if not text.startswith("WATCHDOG")]
    assert [text.split("=")[0] for text in texts] == ["READY", "RELOADING", "READY", "STOPPING"]
    assert manager.lines("STATUS")[0] == "0 turns"


async def test_a_loop_that_hangs_shows_no_life(manager: Manager) -> None:
    """The point of the watchdog: signs of life come from the event loop, so that a hung one has none."""
    async with living(Notifier(manager.address, watchdog_s=0.3)):
        await manager.hears("WATCHDOG", 1)
        hung_at = time.monotonic()
        time.sleep(1)  # noqa: ASYNC251 - this is the hang
        hung_until = time.monotonic()
        await manager.hears("WATCHDOG", len(manager.lines("WATCHDOG")) + 2)
        signs = [at for at, text in manager.heard if text.startswith("WATCHDOG")]
        # One may have been under way when the hang began.
        assert len([at for at in signs if hung_at + 0.1 < at < hung_until]) == 0
        assert len([at for at in signs if at >= hung_until]) >= 2


async def test_a_watched_service_says_where_it_hung(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    enabled: list[bool] = []
    monkeypatch.setattr(faulthandler, "enable", lambda *_, all_threads: enabled.append(all_threads))
    async with living(Notifier(manager.address)):
        await manager.hears("READY")
    assert enabled == []
    async with living(Notifier(manager.address, watchdog_s=30)):
        await manager.hears("READY", 2)
    assert enabled == [True]


async def test_several_hangups_at_once_are_one_reload_and_a_later_one_is_another(manager: Manager) -> None:
    async with living(Notifier(manager.address)) as life:
        for _ in range(5):
            os.kill(os.getpid(), signal.SIGHUP)
        await life.did("ready", "reload")
        await manager.hears("READY", 2)
        os.kill(os.getpid(), signal.SIGHUP)
        await life.did("ready", "reload", "reload")


async def test_a_reload_that_fails_ends_nothing(manager: Manager) -> None:
    async with living(Notifier(manager.address)) as life:
        life.reload_fault = ValueError("broken file")
        with structlog.testing.capture_logs() as logs:
            os.kill(os.getpid(), signal.SIGHUP)
            await manager.hears("READY", 2)  # systemctl reload would wait for it for good
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
