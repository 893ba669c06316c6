"""Reading what is followed: subscribe first, then ask, so that nothing lies between the answer and what arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from apex_rtm.engine.journal import Journal
from apex_rtm.engine.redis.follow import NOWHERE, Followed, Follower, State
from apex_rtm.engine.redis.gate import Gate
from apex_rtm.engine.redis.layout import Layout
from apex_rtm.engine.redis.scripts import Scripts, read_state
from apex_rtm.engine.redis.server import Server
from apex_rtm.engine.redis.wire import Lost
from apex_rtm.log import get_logger
from apex_rtm.message import Position

_log = get_logger(__name__)
_CHANNELS_AT_ONCE: Final = 200
_ENTRIES_AT_ONCE: Final = 200
_AUDITED_AT_ONCE: Final = 1000
_PAUSE_S: Final = 0.2


class Reader:
    """The work of one server: `dirty` channels are read soon, `partitions` listened to where there are wildcards."""

    def __init__(
        self, server: Server, layout: Layout, scripts: Scripts, journal: Journal, follower: Follower, gate: Gate,
        on_partition: Callable[[], None], has_presence: Callable[[str], bool],
        on_attendance: Callable[[str, Any], None], catch_up: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        self.server = server
        self.partitions: set[int] = set()
        self.has_wildcards = False
        self.is_behind = True  # rights may have been taken away that this node knows nothing of
        self._layout = layout
        self._scripts = scripts
        self._journal = journal
        self._follower = follower
        self._gate = gate
        self._on_partition = on_partition
        self._has_presence = has_presence
        self._on_attendance = on_attendance
        self._catch_up = catch_up
        self.control_topics: Sequence[str] = ()
        self._dirty: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._audit_at = 0
        self._task = asyncio.create_task(self._run())

    def read(self, channel: str) -> None:
        """Read a channel soon."""
        self._dirty[channel] = None
        self._wake.set()

    def look(self) -> None:
        """Something changed: wildcards came, or the connection is back."""
        self._wake.set()

    async def close(self) -> None:
        """End."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._listen_to_nodes()
                if self.is_behind and self.server.topics.is_up:
                    await self._catch_up()  # first, or what is read goes to people who lost the right to it meanwhile
                    self.is_behind = False
                while self.server.topics.is_up and (self._dirty or self._closed_partitions()):
                    await self._listen_to_partitions()
                    await self._read_some()
            except Lost:
                self._wake.set()
                await asyncio.sleep(_PAUSE_S)
            except Exception:  # noqa: BLE001 - whatever one channel did, the others must still be read
                _log.exception("redis.reading_failed")
                self._wake.set()
                await asyncio.sleep(_PAUSE_S)

    # ── channels ──

    async def _read_some(self) -> None:
        names = list(self._dirty)[:_CHANNELS_AT_ONCE]
        for name in names:
            del self._dirty[name]
        found = [self._follower.channels[name] for name in names if name in self._follower.channels]
        try:
            await self._subscribe(found)
            refusals = await self._ask(found)
        except Lost:
            self._dirty = dict.fromkeys([*names, *self._dirty])
            raise
        if refusals:  # behind the others: a channel that cannot be read keeps nobody else waiting
            self._dirty |= dict.fromkeys(refusals)
            raise Lost(str(next(iter(refusals.values()))))

    async def _subscribe(self, found: Sequence[Followed]) -> None:
        groups: dict[int, list[str]] = {}
        for one in found:
            topic = self._layout.topic(one.channel)
            if topic not in self.server.subscribed:
                groups.setdefault(one.partition, []).append(topic)
        if groups:
            # Noted first: one that is let go while this waits is let go, whatever the answer says.
            topics = [topic for group in groups.values() for topic in group]
            self.server.subscribed.update(topics)
            try:
                await self.server.topics.subscribe(groups.values())
            except Lost:
                self.server.subscribed.difference_update(topics)
                raise

    async def _ask(self, found: Sequence[Followed]) -> dict[str, Exception]:
        """Return the channels that Redis refused to read. Raises Lost."""
        asked = [_since_of(one) for one in found]
        had = [one.position if one.is_ready else None for one in found]
        replies = await self.server.commands.call(
            [
                self._scripts.read(one.channel, since, _ENTRIES_AT_ONCE, position, one.last_id if position else "")
                for one, since, position in zip(found, asked, had, strict=True)
            ]
        )
        with_presence = [one for one in found if self._has_presence(one.channel)]
        if with_presence:
            for one in with_presence:
                self._on_attendance(one.channel, None)
            keys = [self._layout.who_key(one.channel) for one in with_presence]
            answers = await self.server.commands.call([("HGETALL", key) for key in keys])
            for one, who in zip(with_presence, answers, strict=True):
                if not isinstance(who, Exception):
                    self._on_attendance(one.channel, who)
        refusals: dict[str, Exception] = {}
        for one, since, reply in zip(found, asked, replies, strict=True):
            if isinstance(reply, Exception):
                refusals[one.channel] = reply
                continue
            one.read_at = asyncio.get_running_loop().time()
            state = read_state(reply)
            if one.is_ready:
                self._follower.on_state(one, since, state)
            else:
                self._gate.when(one.partition, state.seq, partial(self._first, one, since, state))
            if one.is_ready and one.waiting:
                await self._read_older(one)
        return refusals

    def _first(self, one: Followed, since: Position | None, state: State) -> None:
        if not one.is_ready and self._follower.channels.get(one.channel) is one:
            self._follower.on_state(one, since, state)

    async def _read_older(self, one: Followed) -> None:
        """Bring what somebody wants who was away for longer than the others."""
        log = self._journal.channels.get(one.channel)
        if log is None:
            return
        ranges = [self._follower.missing(one, log, waiter.since) for waiter in one.waiting if waiter.since is not None]
        wanted = max(ranges, key=len, default=range(0))
        if not wanted:
            return
        entries = []
        since = Position(log.epoch, wanted.start - 1)
        while since.offset + 1 < wanted.stop:
            count = min(_ENTRIES_AT_ONCE, wanted.stop - since.offset - 1)
            (reply,) = await self.server.commands.call([self._scripts.read(one.channel, since, count, None, "")])
            state = _state(reply)
            if not state.entries:
                break
            entries += state.entries
            since = state.entries[-1].position
        self._follower.on_older(one, wanted, state._replace(entries=entries))

    async def _listen_to_nodes(self) -> None:
        topics = [topic for topic in self.control_topics if topic not in self.server.subscribed]
        if topics and self.server.topics.is_up and 0 in self.partitions:
            await self.server.topics.subscribe([topics])
            self.server.subscribed.update(topics)

    # ── wildcards ──

    def _closed_partitions(self) -> list[int]:
        if not self.has_wildcards:
            return []
        return [partition for partition in self.partitions if not self._gate.is_open(partition)]

    async def _listen_to_partitions(self) -> None:
        closed = self._closed_partitions()
        if not closed:
            return
        await self.server.topics.subscribe([self._layout.all_topic(partition)] for partition in closed)
        keys = [self._layout.part_key(partition) for partition in closed]
        replies = await self.server.commands.call([("HGET", key, "seq") for key in keys])
        for partition, reply in zip(closed, replies, strict=True):
            self._gate.open(partition, _number(reply))
        self._on_partition()

    # ── the silent cases ──

    async def audit(self) -> None:
        """Compare a part of what is followed with Redis: an announcement that got lost says nothing. Raises Lost."""
        names = [name for name, one in self._follower.channels.items() if one.partition in self.partitions]
        if self._audit_at >= len(names):
            self._audit_at = 0
        names = names[self._audit_at : self._audit_at + _AUDITED_AT_ONCE]
        self._audit_at += len(names)
        parts = [partition for partition in self.partitions if self._gate.is_open(partition)]
        tops = [("HMGET", self._layout.meta_key(name), "epoch", "top") for name in names]
        seqs = [("HGET", self._layout.part_key(partition), "seq") for partition in parts]
        before = {name: self._follower.channels[name].position for name in names}
        replies = await self.server.commands.call([*tops, *seqs] or [("PING",)])
        if self.server.topics.is_up:
            self.server.down = None
        renewed_at = asyncio.get_running_loop().time() - self._scripts.renew_s
        for name, reply in zip(names, replies, strict=False):
            one = self._follower.channels.get(name)
            if one is None or not one.is_ready:
                continue
            if one.read_at < renewed_at or not _agrees(reply, before[name], one.position):
                self.read(name)
        for partition, reply in zip(parts, replies[len(names) :], strict=False):
            self._gate.audit(partition, _number(reply))


def _since_of(one: Followed) -> Position | None:
    if one.position != NOWHERE:
        return one.position
    wanted = [waiter.since for waiter in one.waiting if waiter.since is not None]
    return min((w for w in wanted if w.epoch == wanted[0].epoch), key=lambda w: w.offset) if wanted else None


def _state(reply: Any) -> State:
    if isinstance(reply, Exception):
        raise Lost(str(reply))
    return read_state(reply)


def _number(reply: Any) -> int:
    if isinstance(reply, Exception):
        raise Lost(str(reply))
    return int(reply or 0)


def _agrees(reply: Any, before: Position, now: Position) -> bool:
    """`before` was known here when Redis was asked, `now` when it answered."""
    if isinstance(reply, Exception):
        return True
    if reply[0] is None or reply[0].decode() != now.epoch:
        return False
    top = int(reply[1])
    return top <= now.offset and (before.epoch != now.epoch or top >= before.offset)
