"""Attacks with bodies that are cheap to send and dear to read: work and memory must grow with their length only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from apex_rtm.errors import Refused
from apex_rtm.message import check_json, decode_batch, decode_message
from apex_rtm.protocol import decode_command
from tests.hardening.limited import rss_bytes
from tests.integration.raw import ask, post
from tests.support.server import ServerProcess, run_server

COSTLY: dict[str, Callable[[int], bytes]] = {
    "runs of 199 digits": lambda size: (b"9" * 199 + b",") * (size // 200),
    "one run of digits": lambda size: b"9" * size,
    "exponents": lambda size: b"1e30," * (size // 5),
    "large exponents": lambda size: b"[" + b"1e100," * (size // 6) + b"1]",
    "the letter e": lambda size: b"e" * size,
    "quotes": lambda size: b'"' * size + b"[" * 200,
    "backslashes": lambda size: b'"' + b"\\" * size + b"[" * 200,
    "escaped quotes": lambda size: b'\\"' * (size // 2) + b"[" * 200,
    "an open string with brackets": lambda size: b'["' + b"[" * size,
    "pairs of brackets": lambda size: b"[]" * (size // 2),
    "open brackets": lambda size: b"[" * size,
    "brackets in strings": lambda size: b'"[",' * (size // 4),
    "commas": lambda size: b'{"messages":[[' + b"," * size,
    "empty messages": lambda size: b'{"messages":[' + b"{}," * (size // 3) + b"{}]}",
    "keys": lambda size: b"{" + b'"a":0,' * (size // 6) + b'"a":0}',
    "spaces": lambda size: b" " * size,
    "line ends": lambda size: b"\n" * size,
    "two-byte characters": lambda size: "\u00e9".encode() * (size // 2),
}


def _read(body: bytes) -> None:
    for decode in (
        lambda: check_json(body, max_depth=128),
        lambda: decode_message(body),
        lambda: decode_batch(body, 1000),
        lambda: decode_command(body),
    ):
        try:
            decode()
        except Refused:
            continue


def _seconds(body: bytes) -> float:
    """The least of three: what other programs take is not counted, and a pause does not spoil the figure."""
    found = []
    for _ in range(3):
        start = time.process_time()
        _read(body)
        found.append(time.process_time() - start)
    return min(found)


@pytest.mark.parametrize("kind", COSTLY)
def test_reading_takes_time_in_proportion_to_length(kind: str) -> None:
    """A pattern that starts anew at every byte takes hours: eight times the length would be 64 times the time."""
    make = COSTLY[kind]
    short, long = _seconds(make(150_000)), _seconds(make(1_200_000))
    # Memory of its own and caches make it more than eight times; the least that a wrong pattern takes is minutes.
    assert long < max(30 * short, 1.0), f"{short * 1000:.1f} ms became {long * 1000:.1f} ms"


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that nobody else uses, so that its memory can be measured."""
    with run_server(tmp_path_factory.mktemp("lonely"), engine="memory") as server:
        yield server


BATCHES: dict[str, tuple[bytes, int, str]] = {
    "four million numbers": (b'{"messages":[' + b"0," * 4_000_000 + b"0]}", 413, "too_large"),
    "two million empty messages": (b'{"messages":[' + b"{}," * 2_600_000 + b"{}]}", 413, "too_large"),
    "two million empty texts": (b'{"messages":[' + b'"",' * 2_600_000 + b'""]}', 413, "too_large"),
    "one more than allowed": (b'{"messages":[' + b'{"channel":"c"},' * 1000 + b"0]}", 413, "too_large"),
    "only line ends": (b"\n" * 8_000_000, 400, "invalid_json"),
    "only spaces in the list": (b'{"messages":[' + b" " * 8_000_000 + b"]}", 200, ""),
    "a hundred thousand commas in one message": (
        b'{"messages":[{"channel":"c","payload":[' + b"0," * 150_000 + b"0]}]}", 200, "",
    ),
    "all that is allowed": (b'{"messages":[' + b",".join([b'{"channel":"c"}'] * 1000) + b"]}", 200, ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", BATCHES)
def test_a_batch_is_bounded_before_it_is_split(lonely: ServerProcess, kind: str) -> None:
    """Eight megabytes of `0,` are four million messages: an object for each takes thirty times the memory."""
    body, status, code = BATCHES[kind]
    before = rss_bytes(lonely.pid)
    answer = ask(lonely.port, *post(b"/api/broadcast/batch", body))
    assert (answer.status, answer.json.get("code", "")) == (status, code)
    assert rss_bytes(lonely.pid) - before < 64_000_000
    assert ask(lonely.port, *post(b"/api/broadcast", b'{"channel":"alive"}')).status == 200
