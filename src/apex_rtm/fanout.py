"""From the log to everybody who may see it. Publications that come faster than they can be written travel together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from apex_rtm.counts import Counts
from apex_rtm.engine.journal import Entry
from apex_rtm.registry import Registry

if TYPE_CHECKING:
    from apex_rtm.session import Session

MAX_WAIT_S: Final = 0.005  # nobody notices it, and dozens of publications of a single publisher fit into it
# A publication that comes within this part of the last flush after its end was waiting while that flush ran.
_FOLLOWS_CLOSELY: Final = 1 / 8
_FEW: Final = 4  # requests that a flush takes along without waiting; more need no wait to be joined
_FEW_IN_A_ROW: Final = 4  # such flushes, before it is tried whether waiting gathers more
_MAX_TOGETHER: Final = 256
_MAX_TOGETHER_BYTES: Final = 65_536

Write = Callable[[Sequence["Session"], Sequence[Entry]], None]


def write_each(sessions: Sequence[Session], entries: Sequence[Entry]) -> None:
    """Give `entries` to the connections, one by one. The edge has a faster way; see `edge/burst.py`."""
    for session in sessions:
        for entry in entries:
            session.send(entry.frame)


class Fanout:
    """Publications that are in the log and not yet written. Mostly none: they wait only behind a flush that took long.

    A write is what delivery costs. While publications come one by one, each is written at once. What follows closely
    after a flush has come while that ran, and is written together with all that the same turn of the event loop brings.
    Where that is only little, again and again, somebody publishes one after the other, faster than it can be written:
    then what comes waits for as long as the last flush took, at most `MAX_WAIT_S`, if that does gather more. Whoever
    changes a subscription calls `flush` first, so that nobody gets what was published before, or misses what was
    published after it.
    """

    def __init__(
        self, registry: Registry, counts: Counts, clock: Callable[[], float],
        later: Callable[[float, Callable[[], None]], Any], write: Write = write_each,
    ) -> None:  # fmt: skip
        self.counts = counts
        self.written_seq = 0
        """Everything in the journal up to here has been written to its subscribers."""
        self._registry = registry
        self._clock = clock
        self._later = later
        self._write = write
        self._pending: list[Entry] = []
        self._pending_bytes = 0
        self._is_timed = False
        self._requests = 0
        self._few_in_a_row = 0
        self._ended_at = 0.0
        self._took_s = 0.0

    def add(self, entries: Sequence[Entry]) -> None:
        """Write publications, in journal order, now or in a moment."""
        self._pending += entries
        self._requests += 1
        if self._is_timed:
            for entry in entries:
                self._pending_bytes += len(entry.frame)
            if len(self._pending) >= _MAX_TOGETHER or self._pending_bytes >= _MAX_TOGETHER_BYTES:
                self.flush()
            return
        if self._clock() - self._ended_at < self._took_s * _FOLLOWS_CLOSELY:
            self._is_timed = True
            waits = self._few_in_a_row >= _FEW_IN_A_ROW
            self._later(min(self._took_s, MAX_WAIT_S) if waits else 0.0, self._on_time)
            return
        self._requests = self._few_in_a_row = 0
        self.flush()

    def _on_time(self) -> None:
        gathered, self._requests = self._requests, 0
        if self._few_in_a_row < _FEW_IN_A_ROW:
            self._few_in_a_row = self._few_in_a_row + 1 if gathered <= _FEW else 0
        elif gathered <= 2 * _FEW:  # it has waited, for hardly more than came by itself
            self._few_in_a_row = 0
        self._is_timed = False
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._pending:
            return
        entries, self._pending, self._pending_bytes = self._pending, [], 0
        began_at = self._clock()
        if not self._registry.has_prefixes:
            self._write_by_channel(entries)
        else:
            self._write_by_session(entries)
        for entry in entries:
            entry.deflated = None
        self.written_seq = entries[-1].seq
        self._ended_at = self._clock()
        self._took_s = self._ended_at - began_at
        self.counts.fanout.observe(self._took_s)

    def _write_by_channel(self, entries: list[Entry]) -> None:
        """Everybody named channels: between those, no order is promised."""
        if len(entries) == 1:
            self._write_to(self._registry.listed(entries[0].channel), entries)
            return
        by_channel: dict[str, list[Entry]] = {}
        for entry in entries:
            by_channel.setdefault(entry.channel, []).append(entry)
        for channel, together in by_channel.items():
            self._write_to(self._registry.listed(channel), together)

    def _write_by_session(self, entries: list[Entry]) -> None:
        """A wildcard gets all channels in journal order: its position is that of the last publication it brought."""
        if all(entry.channel == entries[0].channel for entry in entries):
            self._write_to(self._registry.listed(entries[0].channel), entries)
            return
        by_session: dict[Session, list[Entry]] = {}
        for entry in entries:
            for session in self._registry.subscribers(entry.channel):
                by_session.setdefault(session, []).append(entry)
        # Those who get the same are written to together: most have subscribed to what their page names.
        alike: dict[tuple[int, ...], list[Session]] = {}
        for session, mine in by_session.items():
            alike.setdefault(tuple([entry.seq for entry in mine]), []).append(session)
        by_seq = {entry.seq: entry for entry in entries}
        for numbers, sessions in alike.items():
            self._write_to(sessions, [by_seq[number] for number in numbers])

    def _write_to(self, sessions: Sequence[Session], entries: list[Entry]) -> None:
        if not sessions:
            return
        self._write(sessions, entries)
        self.counts.deliveries += len(sessions) * len(entries)
        self.counts.delivered_bytes += len(sessions) * sum([len(entry.frame) for entry in entries])
