"""Heads of requests that were let in: one that is the same but for the length of its body is let in again.

A publisher says the same with every request. Parsing that, and checking its key, was two fifths of the time that a
publication took; recognizing it takes a fraction of that.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

_MAX_HEADS: Final = 256
_MAX_HEAD_BYTES: Final = 2048
_MAX_DIGITS: Final = 9
# As programs and as proxies write it. What stands in front, a C or the middle of another name, is for `learn` to see:
# `find` compares it with that.
_MARKS: Final = (b"ontent-Length: ", b"ontent-length: ")


class _Parts(NamedTuple):
    """A request that came in one piece: its head without the digits of its length, those, and where its body begins."""

    before: bytes
    length: bytes
    after: bytes
    body_at: int


class Heads:
    """What was let in, with its path; what was longest not asked for goes first.

    Kept are keyed digests. A head holds an API key, which should not lie in memory for longer than its request, and
    a comparison of digests does not tell how much of one somebody has guessed.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(16)
        self._paths: dict[bytes, bytes] = {}

    def find(self, data: bytes) -> tuple[bytes, bytes] | None:
        """The path and the body, where `data` is one whole request with a head that was learned; otherwise None."""
        parts = _split(data)
        if parts is None:
            return None
        key = self._digest(parts)
        path = self._paths.pop(key, None)
        if path is None:
            return None
        self._paths[key] = path
        return path, data[parts.body_at :]

    def learn(self, data: bytes, headers: Sequence[tuple[bytes, bytes]], path: bytes) -> None:
        """Let the next head like that of `data` in: one whole request, which was let in with `headers` for `path`.

        Nothing is learned where the parser found a length elsewhere than `find` looks for it: then another number in
        that place would not mean another length.
        """
        parts = _split(data)
        if parts is None or not parts.before.lower().endswith(b"\r\ncontent-length: "):
            return
        lengths = [value for name, value in headers if name in (b"content-length", b"transfer-encoding")]
        if lengths != [parts.length]:
            return
        if len(self._paths) >= _MAX_HEADS:
            del self._paths[next(iter(self._paths))]
        self._paths[self._digest(parts)] = path

    def _digest(self, parts: _Parts) -> bytes:
        # No head that a parser took has a NUL, so the two cannot be told apart in another place.
        return blake2b(parts.before + b"\0" + parts.after, key=self._secret, digest_size=16).digest()


def _split(data: bytes) -> _Parts | None:
    end = data.find(b"\r\n\r\n", 0, _MAX_HEAD_BYTES)
    if end < 0:
        return None
    for mark in _MARKS:
        found = data.find(mark, 0, end)
        if found >= 0:
            break
    else:
        return None
    start = found + len(mark)
    stop = data.find(b"\r", start, end + 1)
    length, body_at = data[start:stop], end + 4
    if not length.isdigit() or len(length) > _MAX_DIGITS or int(length) != len(data) - body_at:
        return None
    return _Parts(data[:start], length, data[stop:end], body_at)
