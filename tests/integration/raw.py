"""HTTP and WebSocket by hand, for what no well-behaved client can be made to send."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 10.0
HOST = b"Host: 127.0.0.1\r\n"
UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
CONT, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9


@dataclass(frozen=True)
class Answer:
    """A response as received. `body` of a failure is JSON in every case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


class Raw:
    """One socket."""

    def __init__(self, port: int, *, source_ip: str | None = None, receive_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(TIMEOUT_S)
        if receive_bytes is not None:  # before connect, or the kernel has announced a larger window already
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        if source_ip is not None:
            self.socket.bind((source_ip, 0))
        self.socket.connect(("127.0.0.1", port))

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def answer(self, method: str = "GET") -> Answer:
        response = http.client.HTTPResponse(self.socket, method=method)
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read() if response.status != 101 else b"")

    def upgrade(self, path: bytes = b"/", *headers: bytes, host: bytes = HOST) -> Answer:
        """Send a handshake; return its answer. What follows a 101 stays in the socket."""
        self.send(b"GET ", path, b" HTTP/1.1\r\n", host, UPGRADE, *headers, b"\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.socket.recv(1)
            if not byte:
                raise ConnectionResetError("the server closed without an answer")
            head += byte
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = [line.partition(":") for line in lines if line]
        found = {name.lower(): value.strip() for name, _, value in fields}
        body = self.read_exactly(int(found.get("content-length", "0")))
        return Answer(int(status.split(" ")[1]), found, body)

    def read_exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self.socket.recv(count - len(found))
            if not part:
                raise ConnectionResetError(f"the server closed after {len(found)} of {count} bytes")
            found += part
        return found

    def read_frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame; servers do not mask."""
        first, length = self.read_exactly(2)
        if length == 126:
            length = int.from_bytes(self.read_exactly(2))
        elif length == 127:
            length = int.from_bytes(self.read_exactly(8))
        return first & 0x0F, self.read_exactly(length)

    def read_close(self) -> int:
        """Skip to the close frame; return its code."""
        while True:
            opcode, payload = self.read_frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2])

    def read_to_end(self) -> bytes:
        """Everything until the server closes; a reset counts as closing."""
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while part := self.socket.recv(65536):
                found += part
        return found

    def close(self) -> None:
        self.socket.close()


@contextlib.contextmanager
def raw(port: int, *, source_ip: str | None = None, receive_bytes: int | None = None) -> Iterator[Raw]:
    """A socket for the time of a `with` block."""
    connection = Raw(port, source_ip=source_ip, receive_bytes=receive_bytes)
    try:
        yield connection
    finally:
        connection.close()


def ask(port: int, *request: bytes, method: str = "GET") -> Answer:
    """Send bytes, read one response, hang up."""
    with raw(port) as connection:
        connection.send(*request)
        return connection.answer(method)


def masked(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A client's frame (RFC 6455, section 5.2)."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    length = len(payload)
    if length < 126:
        head = bytes((first, 0x80 | length))
    elif length < 65536:
        head = bytes((first, 0x80 | 126)) + length.to_bytes(2)
    else:
        head = bytes((first, 0x80 | 127)) + length.to_bytes(8)
    mask = os.urandom(4)
    repeated = mask * (length // 4 + 1)
    return head + mask + bytes(a ^ b for a, b in zip(payload, repeated, strict=False))


def command(**members: Any) -> bytes:
    """A frame of the conversation, ready to send."""
    return masked(TEXT, json.dumps(members).encode())


def post(path: bytes, body: bytes, *headers: bytes, host: bytes = HOST) -> Sequence[bytes]:
    """A POST with its length."""
    return (b"POST ", path, b" HTTP/1.1\r\n", host, *headers, b"Content-Length: %d\r\n\r\n" % len(body), body)
