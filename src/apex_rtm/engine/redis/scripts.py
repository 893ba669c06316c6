"""The Lua scripts: loaded onto a server, and called with what they expect. Pure but for reading the files once."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from importlib import resources
from itertools import count
from typing import Any, Final

from apex_rtm.clock import Clock
from apex_rtm.engine.journal import Retention, new_epoch
from apex_rtm.engine.redis.follow import State
from apex_rtm.engine.redis.layout import Layout, Publication, read_body
from apex_rtm.engine.redis.wire import Command
from apex_rtm.message import Position

_SLACK_MS: Final = 600_000  # keys live so much longer than what they hold, and are prolonged that much less often
_RETRY_MS: Final = 60_000  # an id that the node made is known for so long: its answer may be lost, not the message


def _load(*names: str) -> str:
    files = resources.files("apex_rtm.engine.redis")
    return "\n".join(files.joinpath(name).read_text(encoding="utf-8") for name in names)


PUBLISH: Final = _load("open.lua", "publish.lua")
READ: Final = _load("open.lua", "read.lua")
BEAT: Final = _load("beat.lua")
ALL_SCRIPTS: Final = (PUBLISH, READ, BEAT)
_PUBLISH_SHA: Final = hashlib.sha1(PUBLISH.encode(), usedforsecurity=False).hexdigest()
_READ_SHA: Final = hashlib.sha1(READ.encode(), usedforsecurity=False).hexdigest()
BEAT_SHA: Final = hashlib.sha1(BEAT.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way to Redis: `head` is its JSON without a position."""

    channel: str
    id: str
    head: bytes
    has_sender_id: bool


class Scripts:
    """Makes the commands of one node and reads their replies."""

    def __init__(
        self, layout: Layout, clock: Clock, *, channel_ttl_s: float, idempotency_window_s: float, durable: bool,
        announce: str,
    ) -> None:  # fmt: skip
        self._layout = layout
        self._clock = clock
        self._channel_ttl_ms = int(channel_ttl_s * 1000)
        self._window_ms = int(idempotency_window_s * 1000)
        self._durable = int(durable)
        self._announce = announce
        self._node = new_epoch()
        self._epochs = count(secrets.randbelow(1 << 16))

    @property
    def renew_s(self) -> float:
        """How long Redis keeps what is read at least, in seconds, with time to spare: half of it. See read.lua."""
        return (_SLACK_MS + min(self._channel_ttl_ms, 6 * _SLACK_MS)) / 2000

    def _fresh_epoch(self) -> str:
        return f"{self._node}.{next(self._epochs):x}"

    def publish(self, message: Outgoing, retention: Retention) -> Command:
        """Append and announce."""
        layout, channel = self._layout, message.channel
        partition = layout.partition(channel)
        kept_ms = max(self._window_ms, _RETRY_MS) if message.has_sender_id else _RETRY_MS
        return (
            "EVALSHA", _PUBLISH_SHA, 4,
            layout.part_key(partition), layout.meta_key(channel), layout.stream_key(channel),
            layout.sent_key(channel, message.id),
            int(self._clock.now() * 1000), self._channel_ttl_ms, self._fresh_epoch(), self._durable, _SLACK_MS,
            message.id, message.head, retention.size, int(retention.ttl_s * 1000), kept_ms, kept_ms,
            layout.topic(channel), layout.all_topic(partition), self._announce,
        )  # fmt: skip

    def read(self, channel: str, since: Position | None, count_: int, had: Position | None, had_id: str) -> Command:
        """Ask where a channel stands, and for publications after `since`."""
        layout = self._layout
        return (
            "EVALSHA", _READ_SHA, 3,
            layout.part_key(layout.partition(channel)), layout.meta_key(channel), layout.stream_key(channel),
            int(self._clock.now() * 1000), self._channel_ttl_ms, self._fresh_epoch(), self._durable, _SLACK_MS,
            since.epoch if since else "-", since.offset if since else 0, count_ if since else 0,
            had.epoch if had else "-", had.offset if had else 0, had_id,
        )  # fmt: skip


def read_state(reply: list[Any]) -> State:
    """Decode what read.lua returned."""
    epoch, top, last_id, link_epoch, link_top, flat, seq = reply
    entries: list[Publication] = [
        read_body(body, int(at) / 1000) for body, at in zip(flat[::2], flat[1::2], strict=True)
    ]
    return State(Position(epoch.decode(), top), last_id.decode(), Position(link_epoch.decode(), link_top), entries, seq)
