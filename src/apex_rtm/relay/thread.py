"""A relay beside a server in one process, in a thread with an event loop of its own.

python-oracledb resolves host names with a blocking call when it connects, also under asyncio. On the server's own loop
a name server that does not answer would stand every WebSocket still for as long as that takes, at every attempt.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final

from apex_rtm.log import get_logger
from apex_rtm.relay.counts import Counts
from apex_rtm.relay.relay import Relay

_log = get_logger(__name__)
_STOP_S: Final = 10.0
"""A batch under way may be finished; what is not marked by then is published again, and known by its ids."""


class RelayThread:
    """Starts and stops one relay. `make` is given the server's event loop, into which the relay publishes."""

    def __init__(self, make: Callable[[asyncio.AbstractEventLoop], Relay], counts: Counts) -> None:
        self.counts = counts
        self._make = make
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._relay: Relay | None = None

    def start(self) -> None:
        """Begin; returns at once, whether the database is there or not. Called on the server's loop."""
        self._relay = self._make(asyncio.get_running_loop())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(self._relay, self._loop), name="relay", daemon=True)
        self._thread.start()

    def _run(self, relay: Relay, loop: asyncio.AbstractEventLoop) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                runner.run(self._main(relay))
            except Exception:  # noqa: BLE001 - the server goes on without its relay, and somebody must learn of it
                _log.exception("relay.ended")

    async def _main(self, relay: Relay) -> None:
        self._task = asyncio.ensure_future(relay.run())
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    async def stop(self) -> None:
        """Let the relay finish its batch, for a limited time. Awaited on the server's loop, which goes on serving."""
        if self._thread is None or self._relay is None:
            return
        self._call(self._relay.stop)
        await asyncio.to_thread(self._thread.join, _STOP_S)
        if self._thread.is_alive() and self._task is not None:
            _log.warning("relay.cut_off", after_s=_STOP_S)
            self._call(self._task.cancel)
            await asyncio.to_thread(self._thread.join, _STOP_S)

    def _call(self, function: Callable[[], object]) -> None:
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            _log.debug("relay.gone")  # it ended by itself and its loop is closed
