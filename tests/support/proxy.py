"""A TCP proxy between a node and Redis, in the loop of the test: it can cut, and it can fall silent."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self


class TcpProxy:
    """Forwards to `port` from a port of its own. `cut` resets and refuses; `hush` holds everything without a word.

    `swallows_answers`: what Redis is asked happens, and nobody hears of it.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._is_cut = False
        self.swallows_answers = False

    async def start(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._pipes |= {writer, there_writer}
        for source, sink, is_answer in ((reader, there_writer, False), (there_reader, writer, True)):
            task = asyncio.create_task(self._pipe(source, sink, is_answer=is_answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # uvloop raises the latter for a transport that is closed
            while data := await source.read(65536):
                await self._open.wait()
                if is_answer and self.swallows_answers:
                    continue
                sink.write(data)
                await sink.drain()
        self._pipes.discard(sink)
        sink.transport.abort()

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        self._is_cut = True
        for writer in tuple(self._pipes):
            writer.transport.abort()

    def hush(self) -> None:
        """Let nothing through; connections stay, as when a network swallows packets."""
        self._open.clear()

    def mend(self) -> None:
        self._is_cut = False
        self._open.set()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
