"""The log of all channels in memory: positions, retention, idempotency, and reads for recovery. No input or output.

Every publication has two places: its offset in its channel, and its sequence number (`seq`) in the order of all
publications of this server, which is what wildcard subscriptions recover by.
"""

from __future__ import annotations

import base64
import itertools
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from apex_rtm.channels import Pattern
from apex_rtm.message import Position, Published

ENTRY_OVERHEAD_BYTES: Final = 480  # an Entry, its place in both indexes and its channel name, measured with tracemalloc
_SWEEP_CHANNELS: Final = 2000  # channels looked at in one sweep, so that a sweep never holds up delivery
_GENERATION_STEP: Final = 1 << 24


class Entry(msgspec.Struct, eq=False):
    """One publication in the journal. `frame` is complete: fan-out and replay write it as it is."""

    seq: int
    channel: str
    position: Position
    at: float
    frame: bytes
    id: str
    has_sender_id: bool = False
    deflated: bytes | None = None
    """The frame in compressed form while it is written to those who can read that; not kept, nor counted."""


class Retention(NamedTuple):
    """How much of a channel's log is kept. `namespace` is the configured prefix that says so, or `other`."""

    size: int
    ttl_s: float
    namespace: str = "other"


@dataclass(slots=True)
class ChannelLog:
    """One life of one channel. `entries` has no holes, so an offset is found by counting from the end."""

    epoch: str
    retention: Retention
    top: int = 0
    last_seq: int = 0
    last_at: float = 0.0
    lost_seq: int = 0
    entries: deque[Entry] = field(default_factory=deque)

    def after(self, offset: int, limit: int | None = None) -> list[Entry] | None:
        """Entries with a greater offset, oldest first, or None when some of them are gone."""
        count = self.top - offset
        if not 0 <= count <= len(self.entries):
            return None
        if limit is not None and count > limit:
            start = len(self.entries) - count
            return list(itertools.islice(self.entries, start, start + limit))
        newest = reversed(self.entries)
        found = [next(newest) for _ in range(count)]
        found.reverse()
        return found


class Journal:
    """The log of every channel, bounded in count and age per channel and in bytes altogether."""

    def __init__(
        self,
        *,
        retention: Callable[[str], Retention],
        max_bytes: int,
        channel_ttl_s: float,
        idempotency_window_s: float,
        max_channels: int = 200_000,
        idempotency_max_ids: int = 1_000_000,
    ) -> None:
        self.epoch = new_epoch()
        self.generation = 1
        self.seq = 0
        self._frame_bytes = 0
        self.published: dict[str, int] = {}  # publications by namespace, of which there are as many as configured
        self.channels: OrderedDict[str, ChannelLog] = OrderedDict()  # the longest unpublished first
        self._retention = retention
        self._max_bytes = max_bytes
        self._max_channels = max_channels
        self._channel_ttl_s = channel_ttl_s
        self._idempotency_window_s = idempotency_window_s
        self._idempotency_max_ids = idempotency_max_ids
        self._order: OrderedDict[int, Entry] = OrderedDict()
        self._seen: OrderedDict[tuple[str, str], tuple[Published, float]] = OrderedDict()
        self.forgotten_seq = 0
        self._loaded_seq = 0
        self._sweep: Iterator[str] = iter(())
        self.evicted: dict[int, str] = {}
        self.forgotten: list[str] = []

    @property
    def count(self) -> int:
        """Publications that are kept, of all channels."""
        return len(self._order)

    @property
    def size_bytes(self) -> int:
        """What they cost in memory, roughly."""
        return self._frame_bytes + ENTRY_OVERHEAD_BYTES * len(self._order)

    # ── positions ──

    def top(self, channel: str) -> Position:
        """The position of the newest publication; offset 0 where there has been none.

        A channel that was never published to needs no memory: all such channels share the epoch of the current
        generation. A new generation begins when a channel that was born in this one is forgotten, so that its
        offset 0 is not mistaken for that of its next life.
        """
        log = self.channels.get(channel)
        return Position(log.epoch, log.top) if log else Position(self._current_epoch, 0)

    def next_position(self, channel: str) -> Position:
        """The position that the next publication gets, the one after `top`."""
        log = self.channels.get(channel)
        return Position(log.epoch, log.top + 1) if log else Position(self._current_epoch, 1)

    @property
    def _current_epoch(self) -> str:
        return f"{self.epoch}.{self.generation}"

    def here(self, pattern: Pattern) -> Position:
        """The position from which a new subscription receives everything."""
        return Position(self.epoch, self.seq) if pattern.is_prefix else self.top(pattern.stem)

    # ── writing ──

    def seen(self, channel: str, message_id: str, now: float) -> Published | None:
        """The first result of a sender's id, within the idempotency window."""
        found = self._seen.get((channel, message_id))
        if found is None or found[1] + self._idempotency_window_s <= now:
            return None
        return found[0]

    def append(self, entry: Entry) -> None:
        """Add the next publication of a channel; its position must be the one after `top`."""
        log = self.channels.get(entry.channel)
        if log is None:
            log = ChannelLog(entry.position.epoch, self._retention(entry.channel), top=entry.position.offset - 1)
            self.channels[entry.channel] = log
        self.seq = entry.seq
        if entry.seq > log.last_seq:  # not one that an earlier run wrote: what was restored knows of it already
            log.top, log.last_seq, log.last_at = entry.position.offset, entry.seq, entry.at
            namespace = log.retention.namespace
            self.published[namespace] = self.published.get(namespace, 0) + 1
            self.channels.move_to_end(entry.channel)
        log.entries.append(entry)
        self._order[entry.seq] = entry
        self._frame_bytes += len(entry.frame)
        if entry.has_sender_id:
            self.remember(entry.channel, Published(entry.id, entry.position, repeated=True), entry.at)
        while len(log.entries) > log.retention.size:
            self._evict(log)
        if len(self.channels) > self._max_channels:
            self._forget_surplus()
        if self.size_bytes > self._max_bytes:
            self._shed()

    def _shed(self) -> None:
        while self.size_bytes > self._max_bytes and self._order:
            oldest = next(iter(self._order.values()))
            self._evict(self.channels[oldest.channel])

    def restore(self, channel: str, log: ChannelLog) -> None:
        """Take a channel over from an earlier run, the longest unpublished first; its entries follow with `append`."""
        self.channels[channel] = log
        self._forget_surplus()

    def load(self, channel: str, top: Position, at: float, entries: Sequence[Entry]) -> None:
        """Replace what is known of a channel by what another machine keeps of it: the log ends at `top`.

        Nobody may be reading the channel meanwhile. The places of `entries` in the journal lie before all that is
        appended here: no wildcard of this server has seen them.
        """
        old = self.channels.pop(channel, None)
        while old is not None and old.entries:
            self._evict(old)
        log = self.channels[channel] = ChannelLog(top.epoch, self._retention(channel), top.offset, last_at=at)
        self._insert(log, entries, log.entries.append)

    def extend(self, channel: str, entry: Entry) -> None:
        """Add the next publication of a channel that was published before this server followed it."""
        log = self.channels[channel]
        self._insert(log, [entry], log.entries.append)
        log.top, log.last_at = entry.position.offset, entry.at
        while len(log.entries) > log.retention.size:
            self._evict(log)

    def prepend(self, channel: str, entries: Sequence[Entry]) -> None:
        """Add older publications of a channel, the newest of them first; each must be the one before the oldest."""
        log = self.channels[channel]
        self._insert(log, entries, log.entries.appendleft)

    def _insert(self, log: ChannelLog, entries: Sequence[Entry], add: Callable[[Entry], None]) -> None:
        for entry in entries:
            self._loaded_seq -= 1
            entry.seq = self._loaded_seq
            add(entry)
            self._order[entry.seq] = entry
            self._frame_bytes += len(entry.frame)
        self._forget_surplus()
        self._shed()

    def forget(self, channel: str) -> None:
        """Let a channel go that nobody follows any more; another machine keeps it."""
        log = self.channels.get(channel)
        if log is not None:
            self._forget(channel, log)

    def remember(self, channel: str, published: Published, at: float) -> None:
        """Note a sender's id; forgets ids that are older than the window."""
        self._seen[channel, published.id] = (published, at)
        horizon = at - self._idempotency_window_s
        while self._seen and (
            next(iter(self._seen.values()))[1] < horizon or len(self._seen) > self._idempotency_max_ids
        ):
            self._seen.popitem(last=False)

    def _evict(self, log: ChannelLog) -> None:
        entry = log.entries.popleft()
        log.lost_seq = entry.seq
        del self._order[entry.seq]
        self._frame_bytes -= len(entry.frame)
        self.evicted[entry.seq] = entry.channel

    # ── reading ──

    def missed(self, pattern: Pattern, since: Position, limit: int | None = None) -> list[Entry] | None:
        """What was published to `pattern` after `since`, oldest first; None when that cannot be told for sure.

        Where `limit` is given, the first so many.
        """
        if pattern.is_prefix:
            return self._missed_by_prefix(pattern, since, limit)
        log = self.channels.get(pattern.stem)
        if log is None:
            return [] if since == self.top(pattern.stem) else None
        if since.epoch != log.epoch:
            return None
        return log.after(since.offset, limit)

    def _missed_by_prefix(self, pattern: Pattern, since: Position, limit: int | None) -> list[Entry] | None:
        if since.epoch != self.epoch or since.offset > self.seq or since.offset < self.forgotten_seq:
            return None
        for name, log in reversed(self.channels.items()):
            if log.last_seq <= since.offset:  # so it is for all before it: the longest unpublished come first
                break
            if log.lost_seq > since.offset and pattern.matches(name):
                return None
        matching = (entry for entry in self._after(since.offset) if pattern.matches(entry.channel))
        return list(itertools.islice(matching, limit))

    def _after(self, seq: int) -> Iterator[Entry]:
        """Entries after a place in the journal, oldest first; where there are few holes, without a walk to them."""
        if self.seq - seq < 2 * len(self._order):
            numbers = (self._order.get(number) for number in range(seq + 1, self.seq + 1))
            return (entry for entry in numbers if entry is not None)
        return (entry for number, entry in self._order.items() if number > seq)

    def journal_position(self, channel: str, position: Position) -> Position | None:
        """The place in the journal of a publication known by its channel and position, or None when it is gone."""
        log = self.channels.get(channel)
        if log is None or log.epoch != position.epoch:
            return None
        newer = log.after(position.offset)
        if newer is None:
            return None
        if not newer:
            return Position(self.epoch, log.last_seq)
        if len(newer) == len(log.entries):
            return Position(self.epoch, log.lost_seq)
        return Position(self.epoch, log.entries[-len(newer) - 1].seq)

    # ── retention ──

    def sweep(self, now: float) -> None:
        """Drop publications past their age and channels past theirs; looks at a bounded number of channels."""
        for _ in range(min(_SWEEP_CHANNELS, len(self.channels))):
            channel = next(self._sweep, None)
            if channel is None:
                self._sweep = iter(list(self.channels))
                break
            log = self.channels.get(channel)
            if log is None:
                continue
            while log.entries and log.entries[0].at + log.retention.ttl_s <= now:
                self._evict(log)
            if not log.entries and log.last_at + self._channel_ttl_s <= now:
                self._forget(channel, log)

    def _forget_surplus(self) -> None:
        while len(self.channels) > self._max_channels:
            self._forget(*next(iter(self.channels.items())))

    def _forget(self, channel: str, log: ChannelLog) -> None:
        while log.entries:
            self._evict(log)
        del self.channels[channel]
        self.forgotten_seq = max(self.forgotten_seq, log.last_seq)
        self.forgotten.append(channel)
        if log.epoch == self._current_epoch:
            # By a random step. This generation may be lost in a crash after clients have seen it but before it was
            # written; given again in the next life, its offset 0 would tell them that they have missed nothing.
            self.generation += 1 + secrets.randbelow(_GENERATION_STEP)

    def take_dropped(self) -> tuple[dict[int, str], list[str]]:
        """Hand over what was dropped since the last call: publications with their channel, and channels."""
        dropped = (self.evicted, [name for name in self.forgotten if name not in self.channels])
        self.evicted, self.forgotten = {}, []
        return dropped


def new_epoch() -> str:
    """Make the name of a new life: 48 random bits, so that no two lives are mistaken for each other."""
    return base64.urlsafe_b64encode(secrets.token_bytes(6)).decode()
