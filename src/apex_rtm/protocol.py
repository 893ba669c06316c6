"""The wire codec: pure functions between bytes and values. docs/protocol.md is the specification."""

from __future__ import annotations

import zlib
from typing import Any, Final

import msgspec

from apex_rtm.errors import Refused
from apex_rtm.message import NULL, Message, Position

SUBPROTOCOL: Final = "rtm.v1"
PING_FRAME: Final = b"\x89\x00"

# Below this the header of the compressed form eats what it saves, and one packet carries it either way.
_DEFLATE_FROM_BYTES: Final = 256
_DEFLATE_LEVEL: Final = 6
_RSV1: Final = 0x40

_encode = msgspec.json.encode


class Since(msgspec.Struct, frozen=True):
    """The last position that a client has handled; `channel` only where the subscription is a wildcard."""

    epoch: str
    offset: int
    channel: str | None = None


class Command(msgspec.Struct, frozen=True):
    """One frame of a client. Members that do not belong to its `type` are ignored."""

    type: str | None = None
    id: int | str | None = None
    channel: str = ""
    token: str | None = None
    since: Since | None = None
    presence: bool = False
    tokens: tuple[str, ...] = ()


class _Head(msgspec.Struct, frozen=True, rename="camel"):
    """The beginning of a publication, in the order of its members."""

    channel: str | None
    event_name: str | None
    payload: msgspec.Raw
    meta: msgspec.Raw | msgspec.UnsetType
    id: str


class _Publication(_Head, frozen=True, rename="camel"):
    """All of it."""

    epoch: str
    offset: int


_decode_command = msgspec.json.Decoder(Command).decode


def decode_command(text: bytes) -> Command:
    """Read a client's frame. Raises Refused (invalid_json, bad_request)."""
    try:
        return _decode_command(text)
    except msgspec.ValidationError as error:
        raise Refused("bad_request", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("invalid_json", f"the frame is not JSON: {error}") from error


def frame(payload: bytes) -> bytes:
    """Put one unmasked text frame around `payload` (RFC 6455, section 5.2)."""
    length = len(payload)
    if length < 126:
        return bytes((0x81, length)) + payload
    if length < 65536:
        return b"\x81\x7e" + length.to_bytes(2) + payload
    return b"\x81\x7f" + length.to_bytes(8) + payload


def deflate(framed: bytes) -> bytes:
    """Compress the message of a frame made by `frame`, for everybody alike: without context (RFC 7692, 7.1.1.1).

    A short message is given back as it is, which is allowed for each message (RFC 7692, section 6).
    """
    if len(framed) < _DEFLATE_FROM_BYTES:
        return framed
    payload = unframe(framed)
    compressor = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    data = data[:-4]  # the empty block at the end is left out (RFC 7692, section 7.2.1)
    if len(data) >= len(payload):
        return framed
    compressed = bytearray(frame(data))
    compressed[0] |= _RSV1
    return bytes(compressed)


def unframe(framed: bytes) -> bytes:
    """Give back the payload of a frame made by `frame`."""
    length = framed[1]
    return framed[2 if length < 126 else 4 if length == 126 else 10 :]


def publication_frame(message: Message, message_id: str, position: Position) -> bytes:
    """Encode a publication once; these bytes go to every subscriber as they are."""
    channel, event_name, payload = message.channel, message.event_name, message.payload
    meta = msgspec.UNSET if message.meta == NULL else message.meta
    return frame(_encode(_Publication(channel, event_name, payload, meta, message_id, position.epoch, position.offset)))


def publication_head(message: Message, message_id: str) -> bytes:
    """Encode what is known of a publication before it has a position; `complete` adds that."""
    meta = msgspec.UNSET if message.meta == NULL else message.meta
    return _encode(_Head(message.channel, message.event_name, message.payload, meta, message_id))[:-1]


def complete(head: bytes, position: Position) -> bytes:
    """Add its position to a publication."""
    return b'%b,"epoch":%b,"offset":%d}' % (head, _encode(position.epoch), position.offset)


def reply_frame(kind: str, command_id: int | str | None = None, **members: Any) -> bytes:
    """Encode a frame of the conversation; a command's `id` is repeated in its answer."""
    body: dict[str, Any] = {"type": kind}
    if command_id is not None:
        body["id"] = command_id
    body.update(members)
    return frame(_encode(body))


def error_frame(code: str, message: str, command_id: int | str | None = None) -> bytes:
    """Encode the refusal of a command."""
    return reply_frame("error", command_id, code=code, message=message)
