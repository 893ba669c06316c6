"""A WebSocket client that shows what a browser hides: the refusal of a handshake, and pings as they arrive."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from apex_rtm.protocol import SUBPROTOCOL

_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})")


class HandshakeRefused(Exception):
    """The answer to a handshake was not 101. `status` is 0 where it was no HTTP at all."""

    def __init__(self, status: int, body: str, location: str = "") -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body
        self.location = location

    @property
    def code(self) -> str | None:
        """The server's own word for the refusal; None where somebody else answered."""
        try:
            answer = json.loads(self.body)
        except ValueError:
            return None
        return str(answer["code"]) if isinstance(answer, dict) and answer.get("ok") is False else None


class Cut(Exception):
    """The connection ended. `code` is that of the close frame, 1006 where there was none."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"closed with {code} {reason}".strip())
        self.code = code
        self.reason = reason


class Wire:
    """One connection, with a deadline on every wait. Pings are answered, and counted in `pings`."""

    def __init__(
        self, base_url: str, context: ssl.SSLContext, *, origin: str | None = None,
        headers: Sequence[tuple[str, str]] = (), source_ip: str | None = None, timeout_s: float = 5,
    ) -> None:  # fmt: skip
        """Connect. Raises OSError (also TimeoutError), HandshakeRefused."""
        parts = urlsplit(base_url)
        secure = parts.scheme == "https"
        uri = parse_uri(f"{'wss' if secure else 'ws'}://{parts.netloc}{parts.path or '/'}")
        source = None if source_ip is None else (source_ip, 0)
        self._socket = socket.create_connection((uri.host, uri.port), timeout_s, source)
        self.local_ip = str(self._socket.getsockname()[0])
        self.pings: list[float] = []
        self._frames: deque[Frame] = deque()
        self._raw = b""
        try:
            if secure:
                self._socket = context.wrap_socket(self._socket, server_hostname=uri.host)
            self._protocol = ClientProtocol(
                uri, origin=None if origin is None else Origin(origin), subprotocols=[Subprotocol(SUBPROTOCOL)]
            )
            request = self._protocol.connect()
            for name, value in headers:
                request.headers[name] = value
            self._protocol.send_request(request)
            self._flush()
            self._await_handshake(time.monotonic() + timeout_s)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Leave without a word, as a closed laptop does."""
        self._socket.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def ask(self, timeout_s: float = 5, **command: Any) -> dict[str, Any]:
        """Send a command; return the next frame of the conversation. Raises Cut, TimeoutError, OSError."""
        self._protocol.send_text(json.dumps(command).encode())
        self._flush()
        deadline = time.monotonic() + timeout_s
        while "type" not in (frame := self.receive(deadline)):
            pass
        return frame

    def receive(self, deadline: float) -> dict[str, Any]:
        """The next text frame, until `deadline` of the monotonic clock. Raises Cut, TimeoutError, OSError."""
        while not self._frames:
            self._pump(deadline)
        found: dict[str, Any] = json.loads(bytes(self._frames.popleft().data))
        return found

    def await_ping(self, deadline: float) -> None:
        """Wait until the server has pinged. Raises Cut, TimeoutError, OSError."""
        while not self.pings:
            self._pump(deadline)

    def _await_handshake(self, deadline: float) -> None:
        while self._protocol.state is not OPEN:
            fault = self._protocol.handshake_exc
            if fault is not None:
                response: Response | None = getattr(fault, "response", None)
                if response is None:
                    status = _STATUS.match(self._raw)
                    raise HandshakeRefused(int(status[1]) if status else 0, self._raw[:200].decode("latin-1"))
                body = bytes(response.body or b"").decode("utf-8", "replace")
                raise HandshakeRefused(response.status_code, body, response.headers.get("Location", ""))
            self._pump(deadline)

    def _pump(self, deadline: float) -> None:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("no answer in time")
        self._socket.settimeout(left_s)
        data = self._socket.recv(65_536)
        if len(self._raw) < 65_536:
            self._raw += data
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._flush()
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.PING:
                self.pings.append(time.monotonic())
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._frames.append(event)
        if not data and self._protocol.handshake_exc is None:
            try:
                closed = self._protocol.close_exc
            except AssertionError:  # it is not closed yet in the protocol's eyes
                raise Cut(1006) from None
            raise Cut(*_reason(closed))

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._socket.sendall(data)


def _reason(closed: ConnectionClosed) -> tuple[int, str]:
    return (1006, "") if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)
