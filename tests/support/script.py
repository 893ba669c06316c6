"""A WebSocket server for one client, which says what the test tells it to. For clients, as `Wire` is for the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

PATIENCE_S = 10.0


class Script:
    """Hands over the connections of a client in their order."""

    def __init__(self) -> None:
        self.url = ""
        self._arrived: asyncio.Queue[Visit] = asyncio.Queue()

    async def on_connection(self, socket: ServerConnection) -> None:
        visit = Visit(socket)
        await self._arrived.put(visit)
        await socket.wait_closed()

    async def visit(self) -> Visit:
        """The next connection of the client."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._arrived.get()


class Visit:
    """One connection, seen from the server."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    async def hear(self, count: int = 1) -> list[dict[str, Any]]:
        """The next frames of the client."""
        async with asyncio.timeout(PATIENCE_S):
            return [json.loads(await self.socket.recv()) for _ in range(count)]

    async def say(self, *frames: dict[str, Any]) -> None:
        for frame in frames:
            await self.socket.send(json.dumps(frame))

    async def close(self, code: int, reason: str = "") -> None:
        await self.socket.close(code, reason)

    def cut(self) -> None:
        """End it as a lost network would."""
        self.socket.transport.abort()


@contextlib.asynccontextmanager
async def script() -> AsyncIterator[Script]:
    """A server for the time of a `with` block."""
    made = Script()
    server: Server = await serve(
        made.on_connection, "127.0.0.1", 0, subprotocols=[Subprotocol("rtm.v1")], compression=None
    )
    async with server:
        made.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        yield made
