"""Turning messages into journal entries: who gets which position, and which were sent before."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from functools import partial
from typing import Final

from apex_rtm.engine.journal import Entry, Journal
from apex_rtm.message import Message, Position, Published
from apex_rtm.protocol import publication_frame

_ID_PREFIX: Final = secrets.token_urlsafe(6)
_ids: Final = itertools.count(1)
# What a named tuple does itself to make one, without a call of Python in between.
_position: Final[Callable[[tuple[str, int]], Position]] = partial(tuple.__new__, Position)


def new_id() -> str:
    """Make an id for a message whose sender gave none."""
    return f"{_ID_PREFIX}{next(_ids):x}"


class Batch:
    """Messages that are appended together. Nothing changes in the journal until its entries are appended.

    A batch may fail as a whole (the disk is full), so it counts positions on from the journal by itself, and
    the next batch counts from the journal again.
    """

    def __init__(self, journal: Journal, now: float) -> None:
        self.entries: list[Entry] = []
        self._journal = journal
        self._now = now
        self._seq = journal.seq
        self._positions: dict[str, Position] = {}
        self._seen: dict[tuple[str, str], Published] = {}

    def add(self, message: Message) -> Published:
        """Give one message its position, or find that its id was seen before."""
        channel = message.channel or ""
        if message.id is not None:
            seen = self._seen.get((channel, message.id)) or self._journal.seen(channel, message.id, self._now)
            if seen is not None:
                return Published(seen.id, seen.position, repeated=True)
        before = self._positions.get(channel)
        position = (
            self._journal.next_position(channel) if before is None else _position((before.epoch, before.offset + 1))
        )
        self._positions[channel] = position
        self._seq += 1
        message_id = message.id if message.id is not None else new_id()
        published = Published(message_id, position)
        if message.id is not None:
            self._seen[channel, message.id] = published
        frame = publication_frame(message, message_id, position)
        has_sender_id = message.id is not None
        self.entries.append(Entry(self._seq, channel, position, self._now, frame, message_id, has_sender_id))
        return published
