"""Requests that look like one that was let in: never one that the parser would have understood otherwise."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_rtm.edge.heads import Heads
from tests.support.property import PROPERTY

PATH = b"/api/broadcast"
LINES = (b"Host: localhost", b"Content-Length: %d", b"X-API-Key: k")


class Parsed:
    """What the parser makes of a request."""

    def __init__(self, data: bytes) -> None:
        self.path = self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.whole = 0
        httptools.HttpRequestParser(self).feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole += 1

    @property
    def others(self) -> list[tuple[bytes, bytes]]:
        return [(name, value) for name, value in self.headers if name != b"content-length"]


def request(body: bytes, *lines: bytes) -> bytes:
    head = b"\r\n".join([b"POST %b HTTP/1.1" % PATH, *(lines or LINES)])
    return head.replace(b"%d", b"%d" % len(body)) + b"\r\n\r\n" + body


def learn(heads: Heads, data: bytes) -> None:
    heads.learn(data, Parsed(data).headers, PATH)


@pytest.mark.parametrize("name", [b"Content-Length", b"content-length"])
def test_the_same_head_is_known_whatever_the_length(name: bytes) -> None:
    heads = Heads()
    lines = (b"Host: localhost", name + b": %d", b"X-API-Key: k")
    assert heads.find(request(b"hello", *lines)) is None

    learn(heads, request(b"hello", *lines))

    for size in (0, 5, 99_999):
        assert heads.find(request(b"x" * size, *lines)) == (PATH, b"x" * size)


@pytest.mark.parametrize(
    "data",
    [
        request(b"hello", b"Host: localhost", b"Content-Length: %d", b"X-API-Key: j"),
        request(b"hello", b"Host: localhosT", b"Content-Length: %d", b"X-API-Key: k"),
        request(b"hello", b"Host: localhost", b"Content-Length: %d", b"X-API-Key: k", b"A: b"),
        request(b"hello").replace(b"POST", b"PUT"), request(b"hello").replace(b"1.1", b"1.0"),
        request(b"hello")[:-1], request(b"hello") + b"x", request(b"hello") * 2, b"\r\n" + request(b"hello"),
        request(b"hello").replace(b": 5", b": +5"), request(b"hello").replace(b": 5", b": 5 "),
        request(b"hello").replace(b": 5", b": "), request(b"hello").replace(b": 5", b": 5, 5"),
        request(b"hello").replace(b": 5", b": 00000000005"), request(b"hello").replace(b": 5", b":5"),
        request(b"hello")[:40], b"", b"\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_not_the_same_is_parsed(data: bytes) -> None:
    heads = Heads()
    learn(heads, request(b"hello"))

    assert heads.find(data) is None


@pytest.mark.parametrize(
    "lines",
    [
        (b"X: Content-Length: 5", b"Content-Length: 5"),
        (b"X-Content-Length: 5", b"Content-Length: 5"),
        (b"X: content-length: 5", b"CONTENT-LENGTH: 5"),
        (b"Host: localhost", b"CONTENT-LENGTH: 5"),
        (b"Host: localhost", b"Content-Length: 5", b"X: " + b"x" * 3000),
    ],
)
def test_where_the_length_is_not_sure_to_be_the_length_nothing_is_learned(lines: tuple[bytes, ...]) -> None:
    heads, data = Heads(), request(b"hello", *lines)

    learn(heads, data)

    assert heads.find(data) is None


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"5"), (b"content-length", b"5")], [(b"content-length", b"6")], [],
        [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")],
    ],
)  # fmt: skip
def test_what_the_parser_has_seen_decides(headers: list[tuple[bytes, bytes]]) -> None:
    heads, data = Heads(), request(b"hello")

    heads.learn(data, headers, PATH)

    assert heads.find(data) is None


def test_those_that_are_not_used_go_when_there_are_many() -> None:
    heads, used = Heads(), request(b"hello")
    learn(heads, used)
    requests = [request(b"hello", b"X: %d" % number, b"Content-Length: 5") for number in range(300)]
    for data in requests:
        learn(heads, data)
        assert heads.find(used) is not None

    known = [heads.find(data) is not None for data in requests]

    assert known == [False] * 45 + [True] * 255


def test_a_key_is_not_kept() -> None:
    heads, data = Heads(), request(b"hello", b"X-API-Key: secret-key", b"Content-Length: 5")

    learn(heads, data)

    assert heads.find(data) is not None
    assert "secret-key" not in str(vars(heads))


names = st.sampled_from([b"Content-Length", b"content-length", b"X", b"X-Content-Length", b"Transfer-Encoding"])
values = st.sampled_from([b"5", b"2", b"11", b"chunked", b"Content-Length: 2", b"", b"5\r\n ontent-Length: 2"])
heads_ = st.lists(st.tuples(names, values).map(b": ".join), max_size=4)


@PROPERTY
@given(heads_, heads_, st.sampled_from([b"", b"he", b"hello", b"hello\r\n\r\nhe", b"2\r\nhe\r\n0\r\n\r\n"]))
def test_what_is_let_in_is_what_the_parser_would_have_read(
    learned: list[bytes], lines: list[bytes], body: bytes
) -> None:
    heads = Heads()
    one, other = (b"\r\n".join([b"POST %b HTTP/1.1" % PATH, *some]) + b"\r\n\r\n" for some in (learned, lines))
    for data in (one + body, one + b"hello", one):
        try:
            parsed = Parsed(data)
        except httptools.HttpParserError:
            continue
        if parsed.whole == 1:
            heads.learn(data, parsed.headers, parsed.path)

    found = heads.find(other + body)

    if found is not None:
        parsed = Parsed(other + body)
        assert (parsed.whole, parsed.path, parsed.body) == (1, *found)
        assert parsed.others == Parsed(one).others
