"""All servers of the log: one, or those of a Cluster; which of them has what, and what to do when that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from apex_rtm.engine.redis.layout import Layout
from apex_rtm.engine.redis.reader import Reader
from apex_rtm.engine.redis.scripts import ALL_SCRIPTS
from apex_rtm.engine.redis.server import Sending, Server
from apex_rtm.engine.redis.topology import locate
from apex_rtm.engine.redis.wire import Lost, Wire
from apex_rtm.log import get_logger
from apex_rtm.redis_url import Address, Target

_log = get_logger(__name__)
_AUDIT_S: Final = 1.0


class Servers:
    """`make` makes the reader of an address; `on_moved` says that a partition has gone to another one."""

    def __init__(
        self, target: Target, layout: Layout, timeout_s: float, make: Callable[[Address], Reader],
        on_moved: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._target = target
        self._layout = layout
        self._timeout_s = timeout_s
        self._make = make
        self._on_moved = on_moved
        self._readers: dict[Address, Reader] = {}
        self._owners: list[Reader] = []
        self._locating = asyncio.Lock()
        self._relocation: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_stopping = False

    def __iter__(self) -> Iterator[Reader]:
        return iter(list(self._readers.values()))

    def of(self, partition: int) -> Reader:
        """The reader of the server that has a partition."""
        return self._owners[partition]

    def at(self, address: Address) -> Reader | None:
        """The reader of an address, unless it has gone."""
        return self._readers.get(address)

    @property
    def trouble(self) -> str | None:
        """What is wrong with one of them, or None."""
        return next((reader.server.trouble for reader in self if reader.server.trouble is not None), None)

    async def connect(self, address: Address) -> Wire:
        """Connect and load the scripts. Raises Lost."""
        wire = await Wire.connect(address, self._target, self._timeout_s)
        try:
            replies = await wire.call([("SCRIPT", "LOAD", script) for script in ALL_SCRIPTS], self._timeout_s)
        except asyncio.CancelledError:
            wire.close()
            raise
        refusal = next((reply for reply in replies if isinstance(reply, Exception)), None)
        if refusal is not None:
            wire.close()
            raise Lost(f"{address}: {refusal}")
        return wire

    async def locate(self) -> None:
        """Find out what is where, and connect to it. Raises Lost."""
        async with self._locating:
            addresses = await locate(self._target, self._layout, list(self._readers), self._timeout_s)
            for address in set(addresses) - set(self._readers):
                self._readers[address] = self._make(address)
            gone = [self._readers.pop(address) for address in set(self._readers) - set(addresses)]
            before, self._owners = self._owners, [self._readers[address] for address in addresses]
            for partition, reader in enumerate(self._owners):
                if before and before[partition] is reader:
                    continue
                reader.partitions.add(partition)
                if before:
                    before[partition].partitions.discard(partition)
                    self._on_moved(partition)
            for reader in gone:
                await reader.close()
                await reader.server.close()
        for reader in [*gone, *self]:
            self.send(reader.server.take_outgoing())

    def send(self, sendings: Sequence[Sending]) -> None:
        """Hand each message to the server that has its channel."""
        by_reader: dict[Reader, list[Sending]] = {}
        for sending in sendings:
            by_reader.setdefault(self._owners[self._layout.partition(sending.message.channel)], []).append(sending)
        for reader, part in by_reader.items():
            reader.server.send(part)

    async def sort_out(self) -> None:
        """Something is not where it was: look again, and send what waits to where it belongs now."""
        if self._target.kind == "single" or self._is_stopping:
            return
        if self._relocation is None or self._relocation.done():
            self._relocation = asyncio.create_task(self._relocate())
        await asyncio.shield(self._relocation)  # who asks may be of a server that is closed by it

    async def _relocate(self) -> None:
        try:
            await self.locate()
        except Lost as lost:
            _log.warning("redis.not_located", reason=str(lost))

    def on_down(self, server: Server) -> None:
        """One cannot be heard any more."""
        if self._is_stopping or server.address not in self._readers:
            return
        self._readers[server.address].is_behind = True
        _log.warning("redis.lost", server=str(server.address), reason=server.trouble)
        self._looking = asyncio.create_task(self.sort_out())

    async def audit(self) -> None:
        """Again and again, for ever: ask each server whether something was not announced, and whether it is there."""
        while True:
            await asyncio.sleep(_AUDIT_S)
            for reader in self:
                try:
                    await reader.audit()
                except Lost as lost:
                    reader.server.down = f"Redis: {lost}"

    async def close(self) -> None:
        """Publish what was accepted, then disconnect."""
        await asyncio.gather(*(reader.server.finish() for reader in self))
        self._is_stopping = True
        tasks = [task for task in (self._relocation, self._looking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for reader in self:
            await reader.close()
            await reader.server.close()
        self._readers = {}
