"""A row of RTM_OUTBOX and the message that it becomes. The head of db/08_rtm_outbox.sql documents the row format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from apex_rtm.errors import Refused

_BATCH_OPEN: Final = b'{"messages":['
_BATCH_CLOSE: Final = b"]}"
_NULL: Final = msgspec.Raw(b"null")
_read_raw = msgspec.json.Decoder(msgspec.Raw).decode


@dataclass(frozen=True, slots=True)
class Row:
    """One stored message. `payload` and `meta` are JSON texts; None is the JSON null, and no meta.

    `age_s` is the time since the insert and `payload_characters` the length of the stored payload, both told by the
    database. A payload that is longer than was asked for is None, so that one row cannot fill this process' memory.
    """

    id: int
    message_id: str
    channel: str
    event_name: str | None = None
    payload: str | None = None
    meta: str | None = None
    attempts: int = 0
    age_s: float = 0.0
    payload_characters: int = 0

    @property
    def key(self) -> tuple[int, str, str]:
        """What tells this message from every other one, also after the table was emptied and its ids began anew."""
        return self.id, self.channel, self.message_id


class _Wire(msgspec.Struct, rename="camel"):
    channel: str
    event_name: str | None
    payload: msgspec.Raw
    id: str


class _WireWithMeta(_Wire):
    meta: msgspec.Raw = _NULL


def encode_message(row: Row) -> bytes:
    """Write the row as one message of a batch. Raises Refused (invalid_json, too_large).

    The texts are checked again although the database checks them: they are spliced in as they are, and a row that was
    inserted by hand with `1},{"channel":"user:KING"` would otherwise become two messages.
    """
    if row.payload is None and row.payload_characters:
        raise Refused("too_large", f"the payload has {row.payload_characters} characters, more than the relay fetches")
    payload = _checked(row.payload, "payload")
    if row.meta is None:
        message = _Wire(row.channel, row.event_name, payload, row.message_id)
    else:
        message = _WireWithMeta(row.channel, row.event_name, payload, row.message_id, _checked(row.meta, "meta"))
    try:
        return msgspec.json.encode(message)
    except UnicodeEncodeError as error:
        raise Refused("invalid_json", f"channel, event name or id is not Unicode text: {error.reason}") from error


def _checked(text: str | None, name: str) -> msgspec.Raw:
    if text is None:
        return _NULL
    try:
        return msgspec.Raw(bytes(_read_raw(text.encode())))
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise Refused("invalid_json", f"the {name} is not one JSON value: {error}") from error


def encode_batch(messages: list[bytes]) -> bytes:
    """Write the body of POST /api/broadcast/batch (docs/protocol.md, section 3.2)."""
    return _BATCH_OPEN + b",".join(messages) + _BATCH_CLOSE
