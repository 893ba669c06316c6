"""The running service: ready, reloaded, watched, drained. What it does then is decided by who composes it."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, cast

import uvicorn
from uvicorn.config import Config

from apex_rtm.log import get_logger
from apex_rtm.systemd import Notifier

_log = get_logger(__name__)
_STDIN: Final = 0


class Listening(Protocol):
    """What uvicorn asks of something that listens."""

    def close(self) -> None: ...
    async def wait_closed(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Duties:
    """What happens at each turn of a service's life; `listen` is for sockets that do not speak HTTP at once."""

    on_ready: Callable[[], None]
    reload: Callable[[], Awaitable[None]]
    drain: Callable[[], Awaitable[None]]
    status: Callable[[], str]
    listen: Callable[[socket.socket, Callable[[], asyncio.Protocol]], Listening] | None = None


class Service(uvicorn.Server):
    """uvicorn's server, which tells systemd how it is, reloads on SIGHUP and drains before it stops."""

    def __init__(self, config: Config, duties: Duties, notifier: Notifier) -> None:
        super().__init__(config)
        self._duties = duties
        self._notifier = notifier
        self._reload_wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._had_terminal = os.isatty(_STDIN)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        if self._duties.listen is None:
            await super().startup(sockets)
        else:
            opened = [self._duties.listen(one, self._make_protocol) for one in sockets or ()]
            self.servers = cast(list[asyncio.Server], opened)
            self.started = True
        self._tasks.append(asyncio.create_task(self._reload_whenever_wanted()))
        if self._notifier.is_heard:
            self._tasks.append(asyncio.create_task(self._show_life()))
            if self._notifier.watchdog_s is not None:
                # The watchdog ends a loop that hangs with SIGABRT; where it hung is then in the journal. Names and line
                # numbers only: no values.
                faulthandler.enable(sys.stderr, all_threads=True)
        self._notifier.ready(self._duties.status())
        self._duties.on_ready()

    def _make_protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn itself does
            config=self.config, server_state=self.server_state, app_state={}, _loop=asyncio.get_running_loop()
        )
        return made

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals in the event loop.

        uvicorn's own raises the signal again when it is done, which would end the process before the log is closed.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then close what is left."""
        self._notifier.stopping()
        await self._duties.drain()
        await super().shutdown(sockets)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._notifier.close()

    def _hang_up(self) -> None:
        """SIGHUP: somebody asks for a reload, or the terminal that the server was started on is gone."""
        if self._had_terminal and not os.isatty(_STDIN):
            self.handle_exit(signal.SIGHUP, None)
        else:
            self._reload_wanted.set()

    async def _reload_whenever_wanted(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            self._notifier.reloading()
            try:
                await self._duties.reload()
            except Exception:  # noqa: BLE001 - whatever is wrong with the new files, the old state serves on
                _log.exception("reload.failed")
            self._notifier.ready(self._duties.status())

    async def _show_life(self) -> None:
        while True:
            await asyncio.sleep(self._notifier.interval_s)
            self._notifier.alive(self._duties.status())
