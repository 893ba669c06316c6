"""Who is on which channel through which node: written down for nodes that come later, and told to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

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

    def __init__(self, layout: Layout, servers: Servers, node: str, announce: str) -> None:
        self._layout = layout
        self._servers = servers
        self._node = node
        self._announce = announce
        self._parts: dict[str, _Part] = {}
        self._untold: dict[str, None] = {}
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
            try:
                await self._write(untold)
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
        if part.node != self._node:
            listener.on_attendance(part.channel, part.node, part.connections, part.users)

    def on_read(self, flat: Any, listener: EngineListener) -> None:
        """What all nodes wrote down of a channel."""
        for value in flat[1::2]:
            self.on_told(MARK + value, listener)
