"""Who is on which channel through which node: written down for nodes that come later, and told to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from apex_rtm.engine.base import EngineListener
from apex_rtm.engine.redis.layout import Layout
from apex_rtm.engine.redis.reader import Reader
from apex_rtm.engine.redis.servers import Servers
from apex_rtm.engine.redis.wire import Command, Lost

MARK: Final = b"W"  # announcements of publications begin with a digit
_KEPT_MS: Final = 600_000
_REFRESH_S: Final = 180.0


class _Part(msgspec.Struct, array_like=True):
    node: str
    channel: str
    connections: int
    users: dict[str, int]


_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(_Part).decode


class Attendances:
    """The part of this node on every channel that has presence."""

    def __init__(
        self, layout: Layout, servers: Servers, node: str, announce: str, know: Callable[[str], None],
        is_followed: Callable[[str], bool],
    ) -> None:  # fmt: skip
        self._layout = layout
        self._servers = servers
        self._node = node
        self._announce = announce
        self._parts: dict[str, _Part] = {}
        self._untold: dict[str, None] = {}
        self._know = know
        self._is_followed = is_followed
        self._elsewhere: dict[str, set[str]] = {}  # nodes that count, by channel
        self._heard: dict[str, set[str]] = {}  # those that told something while a channel was being read
        self._gone: list[tuple[str, str]] = []
        self._wake = asyncio.Event()

    def tell(self, channel: str, connections: int, users: Mapping[str, int]) -> None:
        """See `Engine.tell_attendance`."""
        self._parts[channel] = _Part(self._node, channel, connections, dict(users))
        self._untold[channel] = None
        self._wake.set()

    def tell_again(self, reader: Reader) -> None:
        """A server is back, and may have forgotten."""
        again = [name for name in self._parts if self._layout.partition(name) in reader.partitions]
        self._untold |= dict.fromkeys(again)
        self._wake.set()

    async def run(self) -> None:
        """For ever: write what changed, and all of it before it is forgotten."""
        loop = asyncio.get_running_loop()
        refresh_at = loop.time() + _REFRESH_S
        while True:
            try:
                async with asyncio.timeout_at(refresh_at):
                    await self._wake.wait()
            except TimeoutError:
                refresh_at = loop.time() + _REFRESH_S
                self._untold |= dict.fromkeys(self._parts)
            self._wake.clear()
            untold, self._untold = self._untold, {}
            gone, self._gone = self._gone, []
            try:
                await self._write(untold)
                for channel, node in gone:
                    reader = self._servers.of(self._layout.partition(channel))
                    await reader.server.commands.call([("HDEL", self._layout.who_key(channel), node)])
            except Lost:
                self._untold = {**untold, **self._untold}
                await asyncio.sleep(1)
                self._wake.set()

    async def _write(self, channels: Mapping[str, None]) -> None:
        by_reader: dict[Reader, list[Command]] = {}
        for channel in channels:
            part = self._parts.get(channel)
            if part is None:
                continue
            key = self._layout.who_key(channel)
            commands = by_reader.setdefault(self._servers.of(self._layout.partition(channel)), [])
            if part.connections:
                commands += [("HSET", key, self._node, _encode(part)), ("PEXPIRE", key, _KEPT_MS)]
            else:
                commands.append(("HDEL", key, self._node))
            commands.append((self._announce, self._layout.topic(channel), MARK + _encode(part)))
        for reader, commands in by_reader.items():
            replies = await reader.server.commands.call(commands)
            refusal = next((reply for reply in replies if isinstance(reply, Exception)), None)
            if refusal is not None:
                raise Lost(str(refusal))
        for channel in channels:
            if channel in self._parts and not self._parts[channel].connections:
                del self._parts[channel]

    def on_told(self, data: bytes, listener: EngineListener) -> None:
        """Another node has told."""
        part = _decode(data[len(MARK) :])
        # What is still on its way when a channel is let go would be counted for ever.
        if part.node == self._node or not self._is_followed(part.channel):
            return
        if part.channel in self._heard:
            self._heard[part.channel].add(part.node)
        self._count(part, listener)

    def _count(self, part: _Part, listener: EngineListener) -> None:
        nodes = self._elsewhere.setdefault(part.channel, set())
        if part.connections:
            nodes.add(part.node)
            self._know(part.node)
        else:
            nodes.discard(part.node)
        listener.on_attendance(part.channel, part.node, part.connections, part.users)

    def on_read(self, channel: str, flat: list[bytes] | None, listener: EngineListener) -> None:
        """What all nodes wrote down of a channel; None when it is about to be read.

        What a node tells between question and answer is younger than the answer. Who is not in it has left unheard.
        """
        if flat is None:
            self._heard[channel] = set()
            return
        told = self._heard.pop(channel, set())
        if not self._is_followed(channel):
            return
        parts = [part for part in map(_decode, flat[1::2]) if part.node != self._node]
        for part in parts:
            if part.node not in told:
                self._count(part, listener)
        for node in self._elsewhere.get(channel, set()) - {part.node for part in parts} - told:
            self._count(_Part(node, channel, 0, {}), listener)

    def forget(self, channel: str) -> None:
        """Nothing more is heard of a channel."""
        self._elsewhere.pop(channel, None)
        self._heard.pop(channel, None)

    def drop_node(self, node: str) -> None:
        """A node is gone; what it wrote down goes too, or whoever comes later would count it."""
        for channel, nodes in self._elsewhere.items():
            if node in nodes:
                nodes.discard(node)
                self._gone.append((channel, node))
        self._wake.set()
