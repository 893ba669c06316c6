"""A few commands to Redis, without its client library: the doctor must be able to say that Redis is not there."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

_END: Final = b"\r\n"
Reply = str | int | list["Reply"] | None


class RedisRefused(Exception):
    """Redis answered with an error; the text is its own."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server of `engine = redis://…`. `service` is what Sentinel calls it; then this is the Sentinel."""

    host: str
    port: int
    is_tls: bool
    user: str | None
    password: str | None
    service: str | None
    ca: str | None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def servers_of(engine: str, password: str | None) -> list[Server]:
    """Read redis[s][+sentinel|+cluster]://[user@]host[:port],…; `password` comes before one in the URL."""
    scheme, _, rest = engine.partition("://")
    parts = urlsplit(f"//{rest}")
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, in_url = login.partition(":")
    is_sentinel = scheme.endswith("+sentinel")
    service = parts.path.strip("/").split("/")[0] if is_sentinel else None
    found = []
    for text in hosts.split(","):
        host, _, port = text.rpartition(":") if ":" in text.rsplit("]", 1)[-1] else (text, "", "")
        found.append(
            Server(
                host=host.strip("[]"),
                port=int(port or (26379 if is_sentinel else 6379)),
                is_tls=scheme.startswith("rediss"),
                user=unquote(user) or None,
                password=password or unquote(in_url) or None,
                service=service,
                ca=dict(parse_qsl(parts.query)).get("ca"),
            )
        )
    return found


class Connection:
    """One connection. Every call raises OSError, RedisRefused."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._data = b""

    def ask(self, *command: str) -> Reply:
        """Send a command; return its reply (https://redis.io/docs/reference/protocol-spec, RESP2)."""
        parts = [part.encode() for part in command]
        self._stream.sendall(b"".join([b"*%d\r\n" % len(parts), *(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)]))
        return self._read()

    def _read(self) -> Reply:
        line = self._line()
        kind, text = line[:1], line[1:].decode("utf-8", "replace")
        if kind == b"-":
            raise RedisRefused(text)
        if kind == b":":
            return int(text)
        if kind == b"$":
            return None if int(text) < 0 else self._take(int(text))
        if kind == b"*":
            return None if int(text) < 0 else [self._read() for _ in range(int(text))]
        if kind == b"+":
            return text
        raise OSError("the answer is not that of Redis")

    def _line(self) -> bytes:
        while _END not in self._data:
            self._more()
        line, self._data = self._data.split(_END, 1)
        return line

    def _take(self, length: int) -> str:
        while len(self._data) < length + 2:
            self._more()
        taken, self._data = self._data[:length], self._data[length + 2 :]
        return taken.decode("utf-8", "replace")

    def _more(self) -> None:
        part = self._stream.recv(65_536)
        if not part:
            raise ConnectionResetError("the connection was closed")
        self._data += part


@contextlib.contextmanager
def connected(server: Server, timeout_s: float) -> Iterator[Connection]:
    """A connection that is logged in, for the time of a `with` block. Raises OSError, RedisRefused."""
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(socket.create_connection((server.host, server.port), timeout_s))
        if server.is_tls:
            context = ssl.create_default_context(cafile=server.ca)
            stream = stack.enter_context(context.wrap_socket(stream, server_hostname=server.host))
        connection = Connection(stream)
        if server.password is not None:
            login: Sequence[str] = (server.user, server.password) if server.user else (server.password,)
            connection.ask("AUTH", *login)
        yield connection
