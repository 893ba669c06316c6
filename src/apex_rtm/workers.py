"""Several processes of one machine on one port, and who looks after them.

Each worker listens for itself (SO_REUSEPORT): the kernel spreads connections over them, and one that drains takes no
new ones. A worker that dies is started again; a supervisor that dies takes its workers along, because their standard
input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Final

from apex_rtm.errors import ConfigurationError
from apex_rtm.listen import bind
from apex_rtm.log import get_logger
from apex_rtm.settings import Settings
from apex_rtm.systemd import Notifier

_log = get_logger(__name__)
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_LONG_ENOUGH_S: Final = 60.0  # a worker that lived so long did not die of how it was started
_EXIT_CONFIGURATION: Final = 2
_STDIN: Final = 0


class Supervisor:
    """Starts workers with `command`, to which port and number are added; `on_ready` gets the line that one says."""

    def __init__(self, settings: Settings, command: Sequence[str], on_ready: Callable[[str], None]) -> None:
        self._settings = settings
        self._command = command
        self._on_ready = on_ready
        self._notifier = Notifier.from_environ(os.environ)
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._ready: set[int] = set()
        self._stop = asyncio.Event()
        self._refusal: int | None = None

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT; return the exit code. Raises ConfigurationError when the port is taken."""
        if "LISTEN_FDS" in os.environ:
            raise ConfigurationError(["workers: a socket unit hands over one socket; use --workers without it"])
        reservation = reserve(self._settings)
        port = reservation.getsockname()[1]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on, signal.SIGHUP)
        try:
            async with asyncio.TaskGroup() as group:
                for worker in range(self._settings.workers):
                    group.create_task(self._look_after(worker, port))
                group.create_task(self._show_life())
                await self._stop.wait()
                self._notifier.stopping()
                self._pass_on(signal.SIGTERM)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)
            reservation.close()
            self._notifier.close()
        return self._refusal or 0

    def _pass_on(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    async def _look_after(self, worker: int, port: int) -> None:
        pause_s = _FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while not self._stop.is_set():
            began = loop.time()
            code = await self._run_once(worker, port)
            if self._stop.is_set():
                return
            if code == _EXIT_CONFIGURATION and worker not in self._ready:
                self._refusal = code
                self._stop.set()
                return
            if loop.time() - began > _LONG_ENOUGH_S:
                pause_s = _FIRST_PAUSE_S
            _log.error("worker.died", worker=worker, code=code, restart_in_s=pause_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stop.wait()
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _run_once(self, worker: int, port: int) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command, "--port", str(port), "--worker-number", str(worker),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._processes[worker] = process
        if self._stop.is_set():  # while it was being started
            process.terminate()
        try:
            if process.stdout is not None:
                async for line in process.stdout:
                    self._hear(worker, line.decode(errors="replace").rstrip("\n"))
            return await process.wait()
        finally:
            del self._processes[worker]

    def _hear(self, worker: int, line: str) -> None:
        """The first line of a worker says that it listens."""
        if worker in self._ready:
            return
        self._ready.add(worker)
        if len(self._ready) == self._settings.workers:
            self._notifier.ready(self._status())
            self._on_ready(line)

    def _status(self) -> str:
        return f"{len(self._processes)} of {self._settings.workers} workers"

    async def _show_life(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._notifier.interval_s):
                    await self._stop.wait()
            self._notifier.alive(self._status())


def reserve(settings: Settings) -> socket.socket:
    """Keep the port for the workers. Raises ConfigurationError, also where another supervisor has it already."""
    # Without SO_REUSEPORT first: with it, two servers that were started by mistake would share the port in silence.
    bind(settings.model_copy(update={"workers": 1})).close()
    family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
    reservation = socket.socket(family[0], socket.SOCK_STREAM)
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reservation.bind(family[4])  # it does not listen: the kernel sends nobody here
    return reservation


def make_command(arguments: Sequence[str]) -> list[str]:
    """Start this very program again, with the arguments that it was started with."""
    return [sys.executable, "-m", "apex_rtm", *arguments]


def end_with_supervisor() -> None:
    """Drain when the supervisor is gone: its end of our standard input is closed then, whatever it died of."""

    def on_input() -> None:
        if not os.read(_STDIN, 1024):
            asyncio.get_running_loop().remove_reader(_STDIN)
            os.kill(os.getpid(), signal.SIGTERM)

    asyncio.get_running_loop().add_reader(_STDIN, on_input)


def settings_of_worker(settings: Settings, number: int) -> Settings:
    """What differs between workers: one of them relays the outbox."""
    return settings if number == 0 else settings.model_copy(update={"oracle_dsn": None})
