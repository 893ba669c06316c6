"""Attacks through the head of a request: too many, too long, never ending, or read differently by a proxy in front."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.hardening.limited import rss_bytes
from tests.integration.raw import HOST, UPGRADE, Answer, Raw, ask, post, raw
from tests.support.server import API_KEY, ServerProcess, run_server

KEY = f"X-API-Key: {API_KEY}\r\n".encode()


def _get(*headers: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\n" + HOST + b"".join(headers) + b"\r\n"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([b"X-%d: a\r\n" % number for number in range(99)], 200),
        ([b"X-%d: a\r\n" % number for number in range(100)], 431),
        ([b"X-%d: a\r\n" % number for number in range(100_000)], 431),
        ([b"X: " + b"a" * 30_000 + b"\r\n"], 200),
        ([b"X: " + b"a" * 33_000 + b"\r\n"], 431),
        ([b"X" * 33_000 + b": a\r\n"], 431),
        ([b"X-%d: %b\r\n" % (number, b"a" * 8000) for number in range(5)], 431),
        ([b"X: " + b"a" * 10_000_000 + b"\r\n"], 431),
    ],
    ids=["99 more", "100 more", "100,000 more", "30 kB", "33 kB", "33 kB of a name", "5 of 8 kB", "10 MB"],
)
def test_headers_are_counted_and_measured(shared_open: ServerProcess, headers: list[bytes], status: int) -> None:
    """Each header costs memory and time before anybody is known: a hundred thousand of them cost a lot."""
    with raw(shared_open.port) as socket:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send(_get(*headers))
        answer = _answer_or_reset(socket)
    assert answer is None or answer.status == status
    assert answer is not None or sum(map(len, headers)) > 200_000  # only where much is still unread
    if answer is not None and status == 431:
        assert answer.json["code"] == "too_large"


def _answer_or_reset(socket: Raw) -> Answer | None:
    try:
        return socket.answer()
    except (ConnectionResetError, BrokenPipeError):
        return None


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that nobody else uses, so that its memory can be measured."""
    with run_server(tmp_path_factory.mktemp("lonely"), engine="memory") as server:
        yield server


ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "header line": (b"GET / HTTP/1.1\r\n" + HOST + b"X: ", b"a" * 65_536),
    "header name": (b"GET / HTTP/1.1\r\n" + HOST, b"a" * 65_536),
    "request line": (b"GET /", b"a" * 65_536),
    "method": (b"", b"A" * 65_536),
    "empty lines": (b"", b"\r\n" * 32_768),
    "empty lines after a request": (_get(), b"\r\n" * 32_768),
    "short headers": (b"GET / HTTP/1.1\r\n" + HOST, b"a: b\r\n" * 10_000),
    "chunk size": (b"POST /api/broadcast HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65_536),
    "chunk extension": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1;a=", b"a" * 65_536),
    "trailer": (b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"a" * 65_536),
    "trailers": (b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 10_000),
    "trailer of a publisher": (
        b"POST /api/broadcast HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"a" * 65_536,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_never_ends_is_cut_and_not_remembered(lonely: ServerProcess, kind: str) -> None:
    """A line without an end is kept until its end comes: a gigabyte later the server has no memory left."""
    start, more = ENDLESS[kind]
    assert ask(lonely.port, _get()).status == 200
    before = rss_bytes(lonely.pid)
    with raw(lonely.port) as socket:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send(start)
            for _ in range(400):  # 25 MB, were it taken
                socket.send(more)
            pytest.fail("the server took everything")
        assert rss_bytes(lonely.pid) - before < 8_000_000
    assert ask(lonely.port, _get()).status == 200


SMUGGLED: dict[str, Callable[[], bytes]] = {
    "length and chunked": lambda: b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "chunked and length": lambda: b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG",
    "two lengths": lambda: b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}G",
    "a list of lengths": lambda: b"Content-Length: 2, 3\r\n\r\n{}G",
    "a signed length": lambda: b"Content-Length: +2\r\n\r\n{}",
    "a negative length": lambda: b"Content-Length: -1\r\n\r\n{}",
    "a length in hex": lambda: b"Content-Length: 0x2\r\n\r\n{}",
    "a length beyond 64 bits": lambda: b"Content-Length: 18446744073709551618\r\n\r\n{}",
    "another coding": lambda: b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": lambda: b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunked not last": lambda: b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a space before the colon": lambda: b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded header": lambda: b"X-A: a\r\n Content-Length: 5\r\n\r\n",
    "a bare line feed": lambda: b"X-A: a\nContent-Length: 5\r\n\r\n",
    "a bare carriage return": lambda: b"X-A: a\rContent-Length: 5\r\n\r\n",
    "a NUL": lambda: b"X-A: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "a name with a space": lambda: b"Content Length: 5\r\n\r\n",
    "a chunk longer than it says": lambda: b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "a chunk size with a sign": lambda: b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a chunk size that overflows": lambda: b"Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("kind", SMUGGLED)
def test_a_request_that_two_servers_would_read_differently_is_refused(shared_open: ServerProcess, kind: str) -> None:
    """Request smuggling: the proxy sees one request, the server two, and the second never met the proxy's rules."""
    smuggled = b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n"
    with raw(shared_open.port) as socket:
        socket.send(b"POST /api/broadcast HTTP/1.1\r\n", HOST, SMUGGLED[kind](), smuggled)
        answer = socket.answer()
        assert answer.status == 400
        assert answer.json["ok"] is False
        assert socket.read_to_end() == b"", "the second request was answered"


def test_pipelined_requests_are_answered_one_by_one_in_order(shared_open: ServerProcess) -> None:
    """The honest relative of smuggling must work: several requests at once, each answered, none mixed up."""
    bodies = [b'{"channel":"pipelined","payload":%d}' % number for number in range(50)]
    with raw(shared_open.port) as socket:
        socket.send(*[part for body in bodies for part in post(b"/api/broadcast", body)])
        offsets = [socket.answer().json["offset"] for _ in bodies]
    assert offsets == list(range(offsets[0], offsets[0] + 50))


@pytest.mark.parametrize(
    "headers",
    [b"X-API-Key: wrong\r\n" + KEY, b"X-API-Key: wrong\r\nAuthorization: Bearer " + API_KEY.encode() + b"\r\n",
     b"X-API-Key: \r\n" + KEY, b"Authorization: Bearer wrong\r\nAuthorization: Bearer " + API_KEY.encode() + b"\r\n"],
    ids=["twice", "both headers", "an empty one first", "bearer twice"],
)  # fmt: skip
def test_a_second_key_does_not_help_the_first(shared_secured: ServerProcess, headers: bytes) -> None:
    """A proxy that checks the one header and a server that reads the other disagree on who is calling."""
    answer = ask(shared_secured.port, *post(b"/api/broadcast", b'{"channel":"test"}', headers))
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    "headers",
    [UPGRADE + UPGRADE, UPGRADE + b"Sec-WebSocket-Version: 13\r\n", UPGRADE + b"Origin: http://127.0.0.1\r\n" * 2],
    ids=["everything twice", "version twice", "origin twice"],
)
def test_a_handshake_with_doubled_headers_is_refused(shared_secured: ServerProcess, headers: bytes) -> None:
    """Two origins, of which one is welcome: which of them did the check look at?"""
    answer = ask(shared_secured.port, b"GET / HTTP/1.1\r\n", HOST, headers, b"\r\n")
    assert answer.status in (400, 403, 426)
    assert answer.json["ok"] is False


@pytest.mark.parametrize(
    "first",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
        b"CONNECT evil:443 HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_and_closed(shared_open: ServerProcess, first: bytes) -> None:
    """Scanners speak everything to every port: TLS, HTTP/2, noise. None of it may wait for more."""
    with raw(shared_open.port) as socket:
        socket.send(first)
        assert socket.read_to_end().startswith(b"HTTP/1.1 400 ")
