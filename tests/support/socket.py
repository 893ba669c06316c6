"""A socket without a network: remembers what is written, and reads as slowly as the test wants."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import CONNECTING
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

PATIENCE_S = 5.0


class FakeTransport(asyncio.Transport):
    """What a protocol writes to. `unread` bytes stay in its buffer, as if the peer did not read them."""

    def __init__(self, protocol: asyncio.Protocol, peername: object = ("192.0.2.1", 50000)) -> None:
        super().__init__({"peername": peername, "sockname": ("127.0.0.1", 3000)})
        self.written = b""
        self.unread = 0
        self.is_slow = False
        self.aborted = asyncio.Event()
        self._protocol = protocol
        self._is_closing = False
        self._reads = True
        self._high_bytes = 65_536
        self._is_paused = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high_bytes = self._high_bytes if high is None else high

    def get_write_buffer_size(self) -> int:
        return self.unread

    def write(self, data: Any) -> None:
        assert not self._is_closing, "written after the end"
        self.written += bytes(data)
        if self.is_slow:
            self.unread += len(data)
            if self.unread > self._high_bytes and not self._is_paused:
                self._is_paused = True
                self._protocol.pause_writing()

    def read_all(self) -> None:
        """Let the peer catch up."""
        self.is_slow, self.unread = False, 0
        if self._is_paused:
            self._is_paused = False
            self._protocol.resume_writing()

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self._is_closing = True
        self.aborted.set()

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        self._reads = False

    def resume_reading(self) -> None:
        self._reads = True

    def is_reading(self) -> bool:
        return self._reads

    async def wait_aborted(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.aborted.wait()

    def lose(self) -> None:
        """Tell the protocol that the socket is gone."""
        self._protocol.connection_lost(None)


class FakePeer:
    """The client's end of a WebSocket, as RFC 6455 has it, over a `FakeTransport`."""

    def __init__(self, protocol: asyncio.Protocol, transport: FakeTransport) -> None:
        self._server = protocol
        self._transport = transport
        self._client = ClientProtocol(parse_uri("ws://localhost/"), state=CONNECTING, max_size=None)
        self._seen = 0

    def shake_hands(
        self, target: str = "/", *, subprotocol: bool = True, origin: str | None = None, **headers: str
    ) -> Response:
        """Send the opening handshake; return its answer."""
        self._server.data_received(self.request(target, subprotocol=subprotocol, origin=origin, **headers))
        (response,) = self.events()
        return cast(Response, response)

    def request(
        self, target: str = "/", *, subprotocol: bool = True, origin: str | None = None, **headers: str
    ) -> bytes:
        """The opening handshake, to be sent."""
        protocols = [Subprotocol("rtm.v1")] if subprotocol else None
        uri = parse_uri("ws://localhost/")
        shake = None if origin is None else Origin(origin)
        self._client = ClientProtocol(uri, subprotocols=protocols, origin=shake, state=CONNECTING, max_size=None)
        request = self._client.connect()
        request.path = target
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value
        self._client.send_request(request)
        return b"".join(self._client.data_to_send())

    def send(self, text: str, *, fin: bool = True) -> None:
        self._client.send_text(text.encode(), fin)
        self._flush()

    def send_frame(self, opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> None:
        """Send one frame of any kind, masked as a client must."""
        frame = Frame(opcode, data, fin)
        self._server.data_received(frame.serialize(mask=True, extensions=[]))

    def say_close(self, code: int = 1000) -> None:
        self._client.send_close(code)
        self._flush()

    def _flush(self) -> None:
        for data in self._client.data_to_send():
            self._server.data_received(data)

    def events(self) -> list[Any]:
        """What arrived since the last call: frames, or the answer to the handshake."""
        data, self._seen = self._transport.written[self._seen :], len(self._transport.written)
        if data:
            self._client.receive_data(data)
        return list(self._client.events_received())

    def texts(self) -> list[str]:
        return [bytes(frame.data).decode() for frame in self.events() if frame.opcode is Opcode.TEXT]

    @property
    def close_code(self) -> int | None:
        """The code of the close frame that arrived."""
        self.events()
        return self._client.close_rcvd.code if self._client.close_rcvd else None
