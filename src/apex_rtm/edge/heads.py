"""Heads of requests that were let in: one that is the same but for the length of its body is let in again.

A publisher says the same with every request. Parsing that, and checking its key, costs more than all the rest of a
publication; comparing it costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

_MAX_HEADS: Final = 256
_MAX_HEAD_BYTES: Final = 2048
_MAX_DIGITS: Final = 9
# As programs and as proxies write it. The first letter is looked at only when a head is learned.
_MARKS: Final = (b"ontent-Length: ", b"ontent-length: ")


class _Parts(NamedTuple):
    """A request that came in one piece: what is alike each time, and where its body begins."""

    key: tuple[bytes, bytes]
    length: bytes
    body_at: int


class Heads:
    """What was let in, with its path; the oldest go first.

    They are looked up by a keyed hash. So the time that takes does not tell how much of a head, with the API key in it,
    somebody has guessed.
    """

    def __init__(self) -> None:
        self._paths: dict[tuple[bytes, bytes], bytes] = {}

    def find(self, data: bytes) -> tuple[bytes, bytes] | None:
        """The path and the body, where `data` is one whole request with a head that was learned; otherwise None."""
        parts = _split(data)
        if parts is None:
            return None
        path = self._paths.get(parts.key)
        return None if path is None else (path, data[parts.body_at :])

    def learn(self, data: bytes, headers: Sequence[tuple[bytes, bytes]], path: bytes) -> None:
        """Let the next head like that of `data` in: one whole request, which was let in with `headers` for `path`.

        Nothing is learned where the parser found a length elsewhere than `find` looks for it: then another number in
        that place would not mean another length.
        """
        parts = _split(data)
        if parts is None or not parts.key[0].lower().endswith(b"\r\ncontent-length: "):
            return
        lengths = [value for name, value in headers if name in (b"content-length", b"transfer-encoding")]
        if lengths != [parts.length]:
            return
        if len(self._paths) >= _MAX_HEADS:
            del self._paths[next(iter(self._paths))]
        self._paths[parts.key] = path


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
    return _Parts((data[:start], data[stop:end]), length, body_at)
