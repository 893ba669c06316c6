"""One machine; nothing survives a restart, and clients are told so: the next life has another epoch."""

from __future__ import annotations

from collections.abc import Sequence

from apex_rtm.clock import Clock
from apex_rtm.engine.alone import Alone
from apex_rtm.engine.base import EngineListener
from apex_rtm.engine.journal import Entry, Journal
from apex_rtm.engine.write import Batch
from apex_rtm.errors import Unavailable
from apex_rtm.message import Message, Published
from apex_rtm.revocations import Revocation


class MemoryEngine(Alone):
    """The journal is all there is. See `Engine` for the guarantees."""

    trouble: str | None = None

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self.journal = journal
        self._clock = clock
        self._listener: EngineListener | None = None

    async def start(self, listener: EngineListener) -> None:
        """Begin to deliver to `listener`."""
        self._listener = listener

    async def publish(self, messages: Sequence[Message]) -> list[Published | Unavailable]:
        """Append and deliver at once."""
        batch = Batch(self.journal, self._clock.now())
        results: list[Published | Unavailable] = [batch.add(message) for message in messages]
        self._deliver(batch.entries)
        return results

    def _deliver(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.journal.append(entry)
        if self._listener is not None and entries:
            self._listener.on_published(entries)

    async def revoke(self, revocation: Revocation) -> None:
        """Nothing to remember: the caller holds the revocations in force."""

    def revocations(self) -> Sequence[Revocation]:
        """None survive a restart."""
        return ()

    async def tidy(self) -> None:
        """Apply retention."""
        self.journal.sweep(self._clock.now())
        self.journal.take_dropped()

    async def stop(self) -> None:
        """Nothing is pending."""
