"""A WebSocket client of protocol rtm.v1 for the tests: every frame is parsed, waiting is always for an event."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

TIMEOUT_S = 10.0


class Wire:
    """One connection. Frames of the conversation and publications are kept apart."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, **command: Any) -> None:
        await self.socket.send(json.dumps(command))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(TIMEOUT_S):
            frame: dict[str, Any] = json.loads(await self.socket.recv())
        return frame

    async def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and return its answer; publications in between fail the test that did not expect them."""
        await self.send(**command)
        frame = await self.receive()
        assert "type" in frame, f"a publication came before the answer: {frame}"
        return frame

    async def subscribe(self, channel: str, **members: Any) -> dict[str, Any]:
        answer = await self.ask(type="subscribe", channel=channel, **members)
        assert answer["type"] == "subscribed", answer
        return answer

    async def publications(self, count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while len(found) < count:
            frame = await self.receive()
            assert "type" not in frame, frame
            found.append(frame)
        return found

    async def nothing_waits(self) -> None:
        """Assert that no frame arrived before the answer to a ping: order makes waiting unnecessary."""
        assert await self.ask(type="ping") == {"type": "pong"}

    async def close_code(self) -> int:
        async with asyncio.timeout(TIMEOUT_S):
            await self.socket.wait_closed()
        return self.socket.close_code or 0


@contextlib.asynccontextmanager
async def wire(
    ws_url: str, *, token: str | None = None, subprotocol: bool = True, **options: Any
) -> AsyncIterator[Wire]:
    """Connect, with a token where one is given."""
    protocols = [Subprotocol("rtm.v1")] if subprotocol else None
    async with connect(ws_url, subprotocols=protocols, compression=None, **options) as socket:
        client = Wire(socket)
        if token is not None:
            answer = await client.ask(type="connect", token=token)
            assert answer["type"] == "connected", answer
        yield client
