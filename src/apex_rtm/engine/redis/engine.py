"""Any number of nodes; the log is in Redis or Valkey, and each node's journal holds what somebody on it follows.

See `Engine` for the guarantees and docs/adr/0008-several-nodes.md for how they are kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from apex_rtm.channels import Pattern
from apex_rtm.clock import Clock
from apex_rtm.engine.base import Answers, EngineListener
from apex_rtm.engine.journal import Entry, Journal, Retention
from apex_rtm.engine.redis.attendance import MARK, Attendances
from apex_rtm.engine.redis.follow import Followed, Follower, Then, Waiter, to_entry
from apex_rtm.engine.redis.gate import Gate
from apex_rtm.engine.redis.layout import Layout, Publication, read_announcement
from apex_rtm.engine.redis.nodes import Nodes
from apex_rtm.engine.redis.reader import Reader
from apex_rtm.engine.redis.scripts import Outgoing, Scripts
from apex_rtm.engine.redis.server import Sending, Server
from apex_rtm.engine.redis.servers import Servers
from apex_rtm.engine.redis.start import check_layout, check_server
from apex_rtm.engine.redis.wire import Lost
from apex_rtm.engine.write import new_id
from apex_rtm.errors import ConfigurationError, Unavailable
from apex_rtm.log import get_logger
from apex_rtm.message import Message, Position, Published
from apex_rtm.protocol import complete, publication_head
from apex_rtm.redis_url import Address, Target
from apex_rtm.revocations import Revocation

_log = get_logger(__name__)
_TICK_S: Final = 0.25
_LINGER_S: Final = 5.0  # a page that is loaded anew finds its channels still followed


class RedisEngine:
    """See `Engine` for the guarantees and the module for where to read on."""

    is_shared = True

    def __init__(
        self, target: Target, layout: Layout, journal: Journal, retention: Callable[[str], Retention], clock: Clock, *,
        channel_ttl_s: float, idempotency_window_s: float, revocation_keep_s: float, max_waiting: int, timeout_s: float,
        durable: bool, has_presence: Callable[[str], bool] = lambda _: False,
    ) -> None:  # fmt: skip
        self.journal = journal
        self._target = target
        self._layout = layout
        self._retention = retention
        self._clock = clock
        self._max_waiting = max_waiting
        self._timeout_s = timeout_s
        self._reply_timeout_s = timeout_s / 2  # so that there is time for a second try
        self._is_sharded = target.kind == "cluster"
        announce = "SPUBLISH" if self._is_sharded else "PUBLISH"
        self._scripts = Scripts(
            layout, clock, channel_ttl_s=channel_ttl_s, idempotency_window_s=idempotency_window_s, durable=durable,
            announce=announce,
        )  # fmt: skip
        self._durable = durable
        self._listener: EngineListener
        self._follower = Follower(journal, retention, self, clock.now)
        self._gate = Gate(
            layout.partitions, self._follower, self._deliver_to_wildcards, lambda: self._listener.on_lost(None)
        )
        self._servers = Servers(target, layout, self._reply_timeout_s, self._make_reader, self._on_moved)
        self._nodes = Nodes(layout, self._servers, clock, announce, revocation_keep_s=revocation_keep_s)
        self._attendances = Attendances(
            layout, self._servers, self._nodes.name, announce, self._nodes.know,
            lambda channel: channel in self._follower.channels,
        )  # fmt: skip
        self._nodes.on_gone = self._attendances.drop_node
        self._call_topic, self._answer_topic = (topic.encode() for topic in self._nodes.topics)
        self._has_presence = has_presence
        self._wildcards = 0
        self._wildcards_waiting: list[Waiter] = []
        self._waiting_count = 0
        self._tasks: list[asyncio.Task[None]] = []

    # ── start and stop ──

    async def start(self, listener: EngineListener) -> None:
        """Connect and check the server. Raises ConfigurationError."""
        self._listener = listener
        try:
            await self._servers.locate()
            for reader in self._servers:
                await check_server(reader.server.commands, durable=self._durable, is_sharded=self._is_sharded)
            await check_layout(self._servers.of(0).server.commands, self._layout)
            await self._nodes.start(listener)
        except (Lost, ConfigurationError) as error:
            await self._servers.close()
            if isinstance(error, Lost):
                raise ConfigurationError([f"engine: Redis cannot be used: {error}"]) from error
            raise
        work = (self._clockwork, self._servers.audit, self._nodes.run, self._attendances.run)
        self._tasks = [asyncio.create_task(_keep_up(one)) for one in work]

    async def stop(self) -> None:
        """Publish what was accepted, say goodbye, then disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks:
            await self._nodes.stop()
        self._tasks = []
        await self._servers.close()

    @property
    def trouble(self) -> str | None:
        """Why Redis cannot be used at the moment."""
        return self._servers.trouble

    def _make_reader(self, address: Address) -> Reader:
        server = Server(
            address, self._servers.connect, sharded=self._is_sharded, timeout_s=self._reply_timeout_s,
            on_message=self._on_message, on_up=self._on_up, on_down=self._servers.on_down, on_reply=self._on_reply,
            sort_out=self._servers.sort_out,
        )  # fmt: skip
        reader = Reader(
            server, self._layout, self._scripts, self.journal, self._follower, self._gate, self._on_partition,
            self._has_presence, lambda channel, who: self._attendances.on_read(channel, who, self._listener),
            self._nodes.catch_up,
        )  # fmt: skip
        reader.has_wildcards = self._wildcards > 0
        reader.control_topics = self._nodes.topics
        return reader

    def _on_moved(self, partition: int) -> None:
        if self._gate.is_open(partition):
            self._gate.close(partition)
            self._listener.on_lost(None)
        for found in self._follower.channels.values():
            if found.partition == partition:
                self.read(found)
        self._servers.of(partition).look()

    # ── publishing ──

    async def publish(self, messages: Sequence[Message]) -> list[Published | Unavailable]:
        """Join the next round trip. A message without an id gets one here, so that it can be sent again."""
        if self._waiting_count + len(messages) > self._max_waiting:
            refusal = Unavailable(f"{self._waiting_count} messages wait for Redis already; try again")
            return [refusal for _ in messages]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        sendings = [self._prepare(message, deadline, loop.create_future()) for message in messages]
        self._waiting_count += len(sendings)
        try:
            self._servers.send(sendings)
            return [await sending.done for sending in sendings]
        finally:
            self._waiting_count -= len(sendings)

    def _prepare(self, message: Message, deadline: float, done: asyncio.Future[Any]) -> Sending:
        message_id = message.id if message.id is not None else new_id()
        outgoing = Outgoing(
            message.channel or "", message_id, publication_head(message, message_id), message.id is not None
        )
        retention = self._retention(outgoing.channel)
        return Sending(outgoing, lambda: self._scripts.publish(outgoing, retention), deadline, done)

    def _on_reply(self, message: Outgoing, reply: list[Any]) -> Published:
        position = Position(reply[1].decode(), reply[2])
        if reply[0]:
            return Published(message.id, position, repeated=True)
        partition = self._layout.partition(message.channel)
        # While the node is behind, the reading that follows brings it, to those who still may have it.
        is_wanted = self._wildcards or message.channel in self._follower.channels
        if is_wanted and not self._servers.of(partition).is_behind:
            link = Position(reply[4].decode(), reply[5])
            body = complete(message.head, position)
            publication = Publication(message.channel, position, message.id, self._clock.now(), body, reply[3], link)
            try:
                self._gate.take(partition, publication, own=True)
            except Exception:  # noqa: BLE001 - it is published, and its sender and those behind it wait for the answer
                _log.exception("delivery.failed", channel=message.channel)
        return Published(message.id, position)

    # ── what arrives ──

    def _on_message(self, topic: bytes, data: bytes) -> None:
        if data.startswith(MARK):
            self._attendances.on_told(data, self._listener)
            return
        if topic == self._call_topic:
            self._nodes.on_call(data)
            return
        if topic == self._answer_topic:
            self._nodes.on_answer(data)
            return
        publication = read_announcement(data)
        self._gate.take(self._layout.partition(publication.channel), publication, own=False)

    def _on_up(self, server: Server) -> None:
        """A connection without topics: whatever was announced meanwhile has passed this node by."""
        reader = self._servers.at(server.address)
        if reader is None:  # the very first moment of a server
            return
        was_open = [partition for partition in reader.partitions if self._gate.is_open(partition)]
        for partition in was_open:
            self._gate.close(partition)
        if was_open:
            self._listener.on_lost(None)
        for found in self._follower.channels.values():
            if found.partition in reader.partitions:
                reader.read(found.channel)
        reader.is_behind = True
        reader.look()
        self._attendances.tell_again(reader)

    # ── effects of following ──

    def deliver(self, publications: Sequence[Publication]) -> None:
        """Into the journal and to everybody who subscribed."""
        entries = []
        for publication in publications:
            entry = self._entry(publication)
            log = self.journal.channels.get(entry.channel)
            if log is not None and (log.epoch, log.top + 1) != entry.position:
                self.journal.forget(entry.channel)  # known from a wildcard only, or its epoch has ended
            self.journal.append(entry)
            entries.append(entry)
        self._listener.on_published(entries)

    def _entry(self, publication: Publication) -> Entry:
        entry = to_entry(publication)
        entry.seq = self.journal.seq + 1
        return entry

    def _deliver_to_wildcards(self, publication: Publication) -> None:
        if publication.channel not in self._follower.channels:
            self.deliver([publication])
            return
        # Its log is just being read into the journal, where it will have its place.
        entry = self._entry(publication)
        self.journal.seq = entry.seq
        self._listener.on_published([entry])

    def lost(self, channel: str) -> None:
        """Close the subscribers of one channel."""
        self._listener.on_lost(channel)

    def read(self, followed: Followed) -> None:
        """Ask the server that has it."""
        self._servers.of(followed.partition).read(followed.channel)

    # ── following ──

    def follow(self, pattern: Pattern, since: Position | None, then: Then) -> bool:
        """See `Engine.follow`."""
        waiter = Waiter(since, then, asyncio.get_running_loop().time() + self._timeout_s)
        if pattern.is_prefix:
            return self._follow_all(waiter)
        channel = pattern.stem
        found = self._follower.channels.get(channel)
        if found is None:
            found = self._follower.channels[channel] = Followed(channel, self._layout.partition(channel))
        found.interest += 1
        found.unused_since = None
        if found.is_ready and channel not in self.journal.channels:
            self.journal.load(channel, found.position, self._clock.now(), [])  # it was forgotten for want of room
        if self._follower.covers(found, since):
            return True
        found.waiting.append(waiter)
        self.read(found)
        return False

    def _follow_all(self, waiter: Waiter) -> bool:
        self._wildcards += 1
        if self._wildcards == 1:
            self._listen(is_wanted=True)
        if all(self._gate.is_open(partition) for partition in range(self._layout.partitions)):
            return True
        self._wildcards_waiting.append(waiter)
        return False

    def _listen(self, *, is_wanted: bool) -> None:
        for reader in self._servers:
            reader.has_wildcards = is_wanted
            reader.look()

    def _on_partition(self) -> None:
        if all(self._gate.is_open(partition) for partition in range(self._layout.partitions)):
            waiting, self._wildcards_waiting = self._wildcards_waiting, []
            for waiter in waiting:
                waiter.then(None)

    def unfollow(self, pattern: Pattern) -> None:
        """See `Engine.unfollow`. A channel is followed a little longer, in case somebody comes back."""
        if pattern.is_prefix:
            self._wildcards -= 1
            return
        found = self._follower.channels[pattern.stem]
        found.interest -= 1
        if not found.interest:
            found.unused_since = asyncio.get_running_loop().time()

    async def tidy(self) -> None:
        """Apply retention, and let go what nobody has followed for a while."""
        self.journal.sweep(self._clock.now())
        self.journal.take_dropped()
        horizon = asyncio.get_running_loop().time() - _LINGER_S
        unused = [
            f for f in self._follower.channels.values() if f.unused_since is not None and f.unused_since < horizon
        ]
        topics: dict[Reader, list[str]] = {}
        for found in unused:
            del self._follower.channels[found.channel]
            self.journal.forget(found.channel)
            self._attendances.forget(found.channel)
            self._listener.on_unfollowed(found.channel)
            topics.setdefault(self._servers.of(found.partition), []).append(self._layout.topic(found.channel))
        if not self._wildcards and any(reader.has_wildcards for reader in self._servers):
            self._listen(is_wanted=False)
            for partition in range(self._layout.partitions):
                self._gate.close(partition)
                reader = self._servers.of(partition)
                topics.setdefault(reader, []).append(self._layout.all_topic(partition))
        for reader, names in topics.items():
            reader.server.subscribed.difference_update(names)
            await reader.server.topics.unsubscribe(names)

    # ── clockwork ──

    async def _clockwork(self) -> None:
        """Tell those whose time is over."""
        while True:
            await asyncio.sleep(_TICK_S)
            now = asyncio.get_running_loop().time()
            why = self.trouble or "Redis does not answer in time"
            for found in [found for found in self._follower.channels.values() if found.waiting]:
                self._follower.give_up_waiting(found, now, why)
            late = [waiter for waiter in self._wildcards_waiting if waiter.deadline <= now]
            self._wildcards_waiting = [waiter for waiter in self._wildcards_waiting if waiter.deadline > now]
            for waiter in late:
                waiter.then(Unavailable(why))

    # ── other nodes ──

    async def ask_others(self, question: bytes) -> Answers:
        """See `Engine.ask_others`."""
        return await self._nodes.ask_others(question)

    def tell_attendance(self, channel: str, connections: int, users: Mapping[str, int]) -> None:
        """See `Engine.tell_attendance`."""
        self._attendances.tell(channel, connections, users)

    async def revoke(self, revocation: Revocation) -> None:
        """Write a revocation down, for nodes that come later or are cut off. Raises Unavailable."""
        await self._nodes.revoke(revocation)

    def revocations(self) -> Sequence[Revocation]:
        """What was in force at the start."""
        return self._nodes.revocations


async def _keep_up(work: Callable[[], Awaitable[None]]) -> None:
    """Do work that never ends, again where it failed: a node that silently stopped to look would promise too much."""
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - as said
            _log.exception("redis.work_failed")
        await asyncio.sleep(_TICK_S)
