"""The other end of a connection, without a socket: remembers what it was sent and can stop to read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from apex_rtm.codes import Close
from apex_rtm.protocol import PING_FRAME, unframe


class RecordingPeer:
    """A `Peer`. `room` is how many more frames it takes before it is no longer writable; None is no end of them.

    Where `on_full` is set, it is called as soon as there is no room, as the edge does when `outbox_max_bytes` wait.
    """

    fd = -1
    deflates = False

    def __init__(self, ip: str = "192.0.2.1") -> None:
        self.ip = ip
        self.room: int | None = None
        self.frames: list[dict[str, Any]] = []
        self.on_full: Callable[[], None] | None = None
        self.closes: list[Close] = []
        self.pings = 0
        self.ping_payload = b""
        self.waiting = 0
        self.taken_up = 0

    @property
    def writable(self) -> bool:
        return self.room is None or self.room > 0

    @property
    def waiting_bytes(self) -> int:
        return self.waiting

    def send(self, data: bytes) -> None:
        """Take one frame, or several that were written together."""
        for frame in split_frames(data):
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        if self.closes:
            return
        if self.room is not None:
            self.room -= 1
        if frame[0] == PING_FRAME[0]:
            self.pings += 1
            self.ping_payload = frame[2:]
        else:
            self.frames.append(json.loads(unframe(frame)))
        if self.on_full is not None and not self.writable:
            self.on_full()

    queue = send

    def take_up(self) -> None:
        self.taken_up += 1

    def close(self, close: Close) -> None:
        self.closes.append(close)

    # ── for the tests ──

    def take(self) -> list[dict[str, Any]]:
        """Everything that arrived since the last call."""
        taken, self.frames = self.frames, []
        return taken

    def take_one(self) -> dict[str, Any]:
        """The one frame that arrived; fails where there is another number of them."""
        (frame,) = self.take()
        return frame

    def take_places(self) -> list[tuple[str, int]]:
        """The publications that arrived, as (channel, offset); fails where another frame is among them."""
        return [(frame["channel"], frame["offset"]) for frame in self.take() if _is_publication(frame)]

    @property
    def close_code(self) -> int | None:
        """The code of the first close, or None while the connection is open."""
        return self.closes[0].code if self.closes else None


def split_frames(data: bytes) -> list[bytes]:
    """The frames of a server in one write; they have no mask (RFC 6455, section 5.2)."""
    frames = []
    while data:
        length, head = data[1], 2
        if length >= 126:
            head = 4 if length == 126 else 10
            length = int.from_bytes(data[2:head])
        frames.append(data[: head + length])
        data = data[head + length :]
    return frames


def _is_publication(frame: dict[str, Any]) -> bool:
    assert "type" not in frame, frame
    return True
