"""A server that answers every connection with the same bytes: whatever stands where ours should."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def answering(data: bytes) -> Iterator[int]:
    """Give its port. It reads a request's headers, answers and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.settimeout(5)
            with client, contextlib.suppress(OSError):
                seen = b""
                while b"\r\n\r\n" not in seen and (part := client.recv(65_536)):
                    seen += part
                if seen:
                    client.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def http(status: str, body: str = "", *headers: str) -> bytes:
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body.encode())}", "Connection: close", *headers, "", body]
    return "\r\n".join(lines).encode()
