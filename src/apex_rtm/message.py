"""What a publisher sends, checked at the door, and the values that travel inwards from there."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

import msgspec

from apex_rtm.channels import check_channel
from apex_rtm.errors import Refused

MAX_EVENT_NAME_CHARACTERS: Final = 130
MAX_ID_CHARACTERS: Final = 128
NULL: Final = msgspec.Raw(b"null")

_USUAL_BRACES: Final = 20  # in a message of a batch; with more for each, it is not read in one go
_USUAL_COMMAS: Final = 100  # in a message of a batch; with more than that for each, the items are counted first

T = TypeVar("T")


class Position(NamedTuple):
    """The place of a publication in its channel, or of everybody's in the journal."""

    epoch: str
    offset: int


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """One message as sent: payload and meta stay the bytes that the sender wrote."""

    channel: str | None = None
    event_name: str | None = None
    payload: msgspec.Raw = NULL
    meta: msgspec.Raw = NULL
    id: str | None = None


class _Messages(msgspec.Struct, frozen=True):
    messages: list[Message]


class Batch(msgspec.Struct, frozen=True):
    """Many messages; each is decoded on its own, so that one bad message does not stop the others."""

    messages: list[msgspec.Raw]


class Published(msgspec.Struct, frozen=True):
    """What the publisher is told. `repeated` marks an id that was seen before and not delivered again."""

    id: str
    position: Position
    repeated: bool = False


_decode_message = msgspec.json.Decoder(Message).decode
_decode_messages = msgspec.json.Decoder(_Messages).decode
_decode_batch = msgspec.json.Decoder(Batch).decode


def decode_message(body: bytes | msgspec.Raw) -> Message:
    """Read one message whose JSON `check_json` has passed. Raises Refused (channel_required, bad_request)."""
    try:
        message = _decode_message(body or b"{}")
    except msgspec.DecodeError as error:
        raise _refusal(error) from error
    return check_message(message)


def check_message(message: Message) -> Message:
    """Look at what its types do not say. Raises Refused (channel_required, bad_request)."""
    check_channel(message.channel or "")
    if message.event_name is not None and len(message.event_name) > MAX_EVENT_NAME_CHARACTERS:
        raise Refused("bad_request", f"eventName has more than {MAX_EVENT_NAME_CHARACTERS} characters")
    if message.id is not None and not 0 < len(message.id) <= MAX_ID_CHARACTERS:
        raise Refused("bad_request", f"id must have 1 to {MAX_ID_CHARACTERS} characters")
    if message.meta != NULL and not bytes(message.meta).startswith(b"{"):
        raise Refused("bad_request", "meta must be an object")
    return message


def decode_good_batch(body: bytes, max_messages: int) -> list[Message] | None:
    """Read a batch in one go, its messages still to be checked; None where it has to be split to find what is wrong.

    `{},{},{},…` would be millions of messages before anybody has counted them; who sends so many braces waits longer.
    """
    most = _USUAL_BRACES * max_messages
    if len(body) > most and body.count(b"{") > most:
        return None
    try:
        return _decode_messages(body).messages
    except msgspec.DecodeError:
        return None


def decode_batch(body: bytes, max_messages: int) -> list[msgspec.Raw]:
    """Split a batch whose JSON `check_json` has passed. Raises Refused (bad_request, too_large)."""
    too_large = Refused("too_large", f"a batch has at most {max_messages} messages (max_batch_messages)")
    if body.count(b",") > _USUAL_COMMAS * max_messages and _has_more_items(body, max_messages):
        raise too_large
    try:
        parts = _decode_batch(body or b"{}").messages
    except msgspec.DecodeError as error:
        raise _refusal(error) from error
    if len(parts) > max_messages:
        raise too_large
    return parts


def _has_more_items(body: bytes, most: int) -> bool:
    """Count what stands in the list of a batch, as far as `most`.

    `[0,0,0,…` has millions of items in few megabytes, and splitting them takes thirty times the memory.
    """
    depth = commas = 0
    for found in _BRACKET_OR_COMMA.finditer(body):
        if found.lastindex == 1:
            depth += 1
        elif found.lastindex == 2:
            depth -= 1
        elif found.lastindex == 3 and depth == 2:
            commas += 1
            if commas >= most:
                return True
    return False


def decode_request(body: bytes, kind: type[T], *, max_depth: int) -> T:
    """Read any other request body into a struct. Raises Refused (invalid_json, bad_request)."""
    check_json(body, max_depth=max_depth)
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise _refusal(error) from error


def _refusal(error: msgspec.DecodeError) -> Refused:
    if isinstance(error, msgspec.ValidationError):
        return Refused("bad_request", str(error))
    return Refused("invalid_json", f"the body is not JSON: {error}")


# ── JSON that every browser can read back ──

# A number with neither a run of 200 digits nor an exponent of three stays below 10^299 and fits a double. Where there
# may be one, if only in a text, all are looked at one by one. Both are searched for with every digit as a 0, not with
# an expression: it would try anew from each digit of a shorter run, and 8 MB of them would hold the server for long.
_LONG_RUN: Final = b"0" * 200
_LARGE_EXPONENT: Final = b"e000"
_DIGITS_TO_ZERO: Final = bytes.maketrans(b"123456789E", b"000000000e")
# An unclosed string is taken to the end: were it skipped, each quote inside would start the scan anew (quadratic).
_STRING: Final = rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)'
_WHOLE_STRING: Final = re.compile(_STRING, re.DOTALL)
_BRACKET_OR_COMMA: Final = re.compile(_STRING + rb"|([\[{])|([\]}])|(,)", re.DOTALL)
_USUAL_DEPTH: Final = 4
_NO_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))
_NEITHER_QUOTE_NOR_BRACKET: Final = bytes(set(_NO_BRACKET) - {ord('"')})


def check_json(body: bytes, *, max_depth: int) -> None:
    """Refuse what a strict decoder lets through unseen: bytes that are not UTF-8, depth, numbers beyond a double.

    A decoder that skips over a value (the payload is passed on as bytes) checks its grammar only. One such publication
    would break `JSON.parse` in every browser that receives it. Raises Refused (invalid_json).
    """
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise Refused("invalid_json", f"the body is not UTF-8 (byte {error.start})") from error
    if body.count(b"[") + body.count(b"{") > max_depth:
        _check_depth(body, max_depth)
    digits_alike = body.translate(_DIGITS_TO_ZERO, b"+")
    # `in` would raise and swallow an error first: it tries whether it is asked for a number.
    if digits_alike.find(_LARGE_EXPONENT) >= 0 or digits_alike.find(_LONG_RUN) >= 0:
        _check_numbers(body)


def _check_depth(body: bytes, max_depth: int) -> None:
    # Done on the text, in time linear in its length: a parser that recurses could be made to fall over first.
    if b"\\" not in body:
        # Two quotes in a row are a text without brackets, or the end of one and the beginning of the next: without
        # them every bracket stays inside or outside of a text, and there is little left to search for texts.
        body = body.translate(None, _NEITHER_QUOTE_NOR_BRACKET).replace(b'""', b"")
        if _is_shallow(body, max_depth):
            return
    depth = 0
    for character in _WHOLE_STRING.sub(b"", body).translate(None, _NO_BRACKET):
        depth += 1 if character in b"[{" else -1
        if depth > max_depth:
            raise Refused("invalid_json", f"JSON is nested deeper than {max_depth}")


def _is_shallow(brackets: bytes, max_depth: int) -> bool:
    """Tell whether nothing is left when the innermost pairs are taken out a few times: so it is for most batches.

    One time takes two levels at most, braces and then brackets around them.
    """
    for _ in range(min(_USUAL_DEPTH, max_depth // 2)):
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    return not brackets


def _check_numbers(body: bytes) -> None:
    try:
        json.loads(body, parse_int=_check_number, parse_float=_check_number, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refused("invalid_json", f"the body is not JSON: {error}") from error


def _check_number(text: str) -> Any:
    if math.isinf(float(text)):
        raise Refused("invalid_json", f"the number {text[:20]}… does not fit a double, browsers cannot read it")
    return None


def _refuse_constant(name: str) -> NoReturn:
    raise Refused("invalid_json", f"{name} is not JSON")
