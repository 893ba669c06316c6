"""A WebSocket client that costs almost nothing, so that thousands fit into one test process beside the server.

It speaks just enough of RFC 6455 for this server: no extensions, server frames are unmasked and unfragmented. Client
frames are masked with the key 0, which is a legal mask and leaves the payload as it is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final, cast

_HANDSHAKE: Final = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: rtm.v1\r\n\r\n"
)
_CLOSE: Final = 0x8
_PING: Final = 0x9


class RawClient(asyncio.Protocol):
    """One connection. `on_text` gets the payload of each text frame; `closed` is set when the socket is gone."""

    def __init__(self, on_text: Callable[[bytes], None], on_open: Callable[[RawClient], None]) -> None:
        self.closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.is_open = False
        self._on_text = on_text
        self._on_open = on_open
        self._buffer = b""
        self._close_code = 1006

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(_HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.is_open and not self._take_handshake():
            return
        self._take_frames()

    def _take_handshake(self) -> bool:
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return False
        if not head.startswith(b"HTTP/1.1 101"):
            self.transport.abort()
            return False
        self._buffer = rest
        self.is_open = True
        self._on_open(self)
        return True

    def _take_frames(self) -> None:
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            size, start = buffer[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(buffer[at + 2 : at + 4]), at + 4
            elif size == 127:
                size, start = int.from_bytes(buffer[at + 2 : at + 10]), at + 10
            if len(buffer) < start + size:
                break
            self._take_frame(buffer[at] & 0x0F, buffer[start : start + size])
            at = start + size
        self._buffer = buffer[at:]

    def _take_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self._write(0x8A, payload)
        elif opcode == _CLOSE:
            self._close_code = int.from_bytes(payload[:2]) if payload else 1005
            self._write(0x88, payload[:2])
        else:
            self._on_text(payload)

    def send(self, **command: Any) -> None:
        self._write(0x81, json.dumps(command).encode())

    def _write(self, first: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes((first, 0x80 | size)) if size < 126 else bytes((first, 0xFE)) + size.to_bytes(2)
        self.transport.write(head + b"\0\0\0\0" + payload)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(self._close_code)


async def open_raw(port: int, on_text: Callable[[bytes], None], on_open: Callable[[RawClient], None]) -> RawClient:
    """Connect to the server on this machine; `on_open` is called when the handshake is through."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: RawClient(on_text, on_open), "127.0.0.1", port)
    return client
