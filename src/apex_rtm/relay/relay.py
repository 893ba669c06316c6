"""The relay's life: connect, drain, wait for more, and come back from whatever happens, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from apex_rtm.clock import Clock
from apex_rtm.log import get_logger
from apex_rtm.relay.counts import Counts
from apex_rtm.relay.door import Door
from apex_rtm.relay.drain import Drain, DrainLimits, Look, Seen
from apex_rtm.relay.pace import Polling, Reconnecting
from apex_rtm.relay.store import OutboxStore, StoreFault

_log = get_logger(__name__)
# A wrong password every few seconds would lock the account (Oracle's default profile: after ten of them, for a day).
# The store knows whether the password has changed; a new one is tried within one of these waits.
_LOGIN_WAIT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Bounds of the waits, in seconds; docs/settings.md has the reasons."""

    poll_least_s: float
    poll_most_s: float
    woken_poll_s: float
    reconnect_most_s: float


class Relay:
    """Drains one outbox into one server. `run` returns after `stop` was called, and never raises before."""

    def __init__(
        self, store: OutboxStore, door: Door, limits: DrainLimits, pace: Pace, clock: Clock,
        counts: Counts | None = None,
    ) -> None:  # fmt: skip
        self.counts = counts or Counts()
        self._store = store
        self._door = door
        self._drain = Drain(store, door, limits, self.counts, clock)
        self._pace = pace
        self._clock = clock
        self._polling = Polling(pace.poll_least_s, pace.poll_most_s)
        self._reconnecting = Reconnecting(pace.reconnect_most_s)
        self._stopping = asyncio.Event()
        self._retry_at_s: float | None = None

    def stop(self) -> None:
        """Finish the batch that is under way, and return from `run`. Call it on the relay's own event loop."""
        self._stopping.set()

    async def run(self) -> None:
        """Relay until `stop`. A fault of the database ends the connection, never the relay."""
        try:
            while not self._stopping.is_set():
                wait_s = await self._live()
                await self._store.close()
                self.counts.is_connected = self.counts.is_woken = False
                await self._sleep(wait_s)
        finally:
            await self._store.close()
            await self._door.close()

    async def _live(self) -> float:
        """One connection's life; return how long to wait before the next one."""
        try:
            await self._store.open()
            self.counts.is_connected = True
            self.counts.connections += 1
            _log.info("relay.connected")
            while not self._stopping.is_set():
                await self._rest(await self._drain.step())
                self._reconnecting.on_success()
        except StoreFault as fault:
            wait_s = _LOGIN_WAIT_S if fault.is_login else self._reconnecting.wait_s()
            self._note_fault(str(fault), wait_s)
            return wait_s
        except Exception as error:  # noqa: BLE001 - nothing that happens here may end the relay, or its server
            wait_s = self._reconnecting.wait_s()
            _log.exception("relay.failed")
            self._note_fault(f"{type(error).__name__}: {error}", wait_s)
            return wait_s
        return 0.0

    def _note_fault(self, text: str, wait_s: float) -> None:
        self.counts.database_failures += 1
        self.counts.last_failure = text
        _log.warning("relay.disconnected", error=text, again_in_s=round(wait_s, 1))

    async def _rest(self, look: Look) -> None:
        """Wait as long as the outcome of a look suggests."""
        if look.seen is Seen.ROWS:
            self._polling.on_rows()
            if look.wait_s is not None:
                self._retry_at_s = self._soonest(look.wait_s)
            return
        if look.seen in (Seen.FAILED, Seen.TOO_EARLY):
            await self._sleep(look.wait_s or 0.0)
            return
        if look.seen is Seen.ELSEWHERE:
            # Woken, but the turn is taken: whoever has it may have fetched before the commit that woke us.
            await self._sleep(self._pace.poll_least_s)
            return
        self.counts.is_woken = self._store.is_woken
        await self._until_stop(self._store.wait_for_wake(self._idle_s()))

    def _idle_s(self) -> float:
        wait_s = self._polling.wait_s(self._pace.woken_poll_s if self._store.is_woken else None)
        if self._retry_at_s is None:
            return wait_s
        # Nobody rings when a refused row is due again.
        left_s = self._retry_at_s - self._clock.monotonic()
        if left_s <= 0:
            self._retry_at_s = None
            return self._pace.poll_least_s
        return min(wait_s, left_s)

    def _soonest(self, wait_s: float) -> float:
        now_s = self._clock.monotonic()
        if self._retry_at_s is None or self._retry_at_s <= now_s:
            return now_s + wait_s
        return min(now_s + wait_s, self._retry_at_s)

    async def _sleep(self, seconds: float) -> None:
        await self._until_stop(asyncio.sleep(seconds))

    async def _until_stop(self, waiting: Awaitable[None]) -> None:
        """Await `waiting`, or less when the relay is to stop. Raises what `waiting` raises."""
        wait = asyncio.ensure_future(waiting)
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((wait, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            if not wait.done():
                wait.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await wait
        if not wait.cancelled():
            wait.result()
