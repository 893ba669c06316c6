"""The wire codec: pure functions between bytes and values. docs/protocol.md is the specification."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from apex_rtm.errors import Refused
from apex_rtm.message import Message, Position

SUBPROTOCOL: Final = "rtm.v1"
PING_FRAME: Final = b"\x89\x00"

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


def unframe(framed: bytes) -> bytes:
    """Give back the payload of a frame made by `frame`."""
    length = framed[1]
    return framed[2 if length < 126 else 4 if length == 126 else 10 :]


def publication_frame(message: Message, message_id: str, position: Position) -> bytes:
    """Encode a publication once; these bytes go to every subscriber as they are."""
    meta = bytes(message.meta)
    return frame(
        b'{"channel":%b,"eventName":%b,"payload":%b%b,"id":%b,"epoch":%b,"offset":%d}'
        % (
            _encode(message.channel),
            _encode(message.event_name),
            bytes(message.payload),
            b"" if meta == b"null" else b',"meta":' + meta,
            _encode(message_id),
            _encode(position.epoch),
            position.offset,
        )
    )


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
