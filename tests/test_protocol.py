"""The wire codec: bytes to values and back."""

from __future__ import annotations

import base64
import json
import random
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from apex_rtm.errors import Refused
from apex_rtm.message import Message, Position, decode_message
from apex_rtm.protocol import (
    PING_FRAME,
    Command,
    Since,
    complete,
    decode_command,
    deflate,
    error_frame,
    frame,
    publication_frame,
    publication_head,
    reply_frame,
    unframe,
)
from tests.support.property import PROPERTY


def receive(data: bytes) -> list[Frame]:
    """What a client's own implementation of RFC 6455 makes of these bytes."""
    client = ClientProtocol(parse_uri("ws://localhost/"), state=OPEN, max_size=None)
    client.receive_data(data)
    return [event for event in client.events_received() if isinstance(event, Frame)]


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, b"\x81\x00"), (125, b"\x81\x7d"), (126, b"\x81\x7e\x00\x7e"), (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)  # fmt: skip
def test_a_frame_has_the_shortest_length_that_fits(length: int, header: bytes) -> None:
    payload = b"x" * length
    framed = frame(payload)

    assert framed == header + payload
    assert unframe(framed) == payload
    (received,) = receive(framed)
    assert (received.opcode, received.fin, bytes(received.data)) == (1, True, payload)


def test_the_ping_is_a_ping() -> None:
    (received,) = receive(PING_FRAME)

    assert (received.opcode, received.fin, received.data) == (9, True, b"")


# ── commands ──


def test_every_member_of_a_command() -> None:
    command = decode_command(
        b'{"type":"subscribe","channel":"a*","id":7,"token":"t","tokens":["t","u"],"presence":true,'
        b'"since":{"epoch":"e","offset":12,"channel":"ab"},"more":[1]}'
    )

    assert command == Command("subscribe", 7, "a*", "t", Since("e", 12, "ab"), presence=True, tokens=("t", "u"))


def test_a_command_may_leave_everything_out() -> None:
    assert decode_command(b"{}") == Command(None, None, "", None, None, presence=False)


@pytest.mark.parametrize("command_id", [0, -1, 2**53, 2**64 - 1, 2**64, 10**40, "", "ü", "x" * 5000])
def test_an_id_of_any_size_comes_back_as_it_was(command_id: int | str) -> None:
    command = decode_command(json.dumps({"id": command_id}).encode())

    assert json.loads(unframe(reply_frame("pong", command.id))) == {"type": "pong", "id": command_id}


@pytest.mark.parametrize(
    "text",
    [
        b"[]", b"5", b"null", b'"connect"', b'{"type":5}', b'{"id":1.5}', b'{"id":true}', b'{"id":[]}',
        b'{"channel":null}', b'{"channel":5}', b'{"token":{}}', b'{"since":"12"}', b'{"since":{"epoch":"e"}}',
        b'{"since":{"offset":1}}', b'{"tokens":"t"}', b'{"tokens":[null]}', b'{"tokens":{}}',
        b'{"since":{"epoch":1,"offset":1}}', b'{"since":{"epoch":"e","offset":"1"}}', b'{"presence":1}',
        b'{"since":{"epoch":"e","offset":' + b"9" * 5000 + b"}}",
    ],
)  # fmt: skip
def test_a_member_of_the_wrong_type_is_a_bad_request(text: bytes) -> None:
    with pytest.raises(Refused) as caught:
        decode_command(text)

    assert caught.value.code == "bad_request"


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"hello", b'{"type":}', b"\xff", b'{"channel":"\xff"}', rb'{"channel":"\ud800"}', b'{"x":NaN}',
     b'{"x":' + b"[" * 30_000, b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}"],
)  # fmt: skip
def test_what_is_not_json_is_refused_as_such(text: bytes) -> None:
    with pytest.raises(Refused) as caught:
        decode_command(text)

    assert caught.value.code == "invalid_json"


# ── frames ──


def test_a_publication_has_the_members_of_the_contract_in_their_order() -> None:
    message = decode_message(b'{"channel":"t\\u00fc","eventName":"ping","payload":{"a": 1},"meta":{"user":"SCOTT"}}')

    assert unframe(publication_frame(message, "order-17", Position("kx3Jw0aQ.1", 12))).decode() == (
        '{"channel":"tü","eventName":"ping","payload":{"a": 1},"meta":{"user":"SCOTT"},'
        '"id":"order-17","epoch":"kx3Jw0aQ.1","offset":12}'
    )


def test_a_publication_leaves_an_absent_meta_out() -> None:
    for body in (b'{"channel":"t"}', b'{"channel":"t","meta":null}'):
        published = json.loads(unframe(publication_frame(decode_message(body), "1", Position("e", 1))))
        assert published == {"channel": "t", "eventName": None, "payload": None, "id": "1", "epoch": "e", "offset": 1}


def test_a_frame_that_is_made_in_two_steps_is_the_same() -> None:
    for body in (b'{"channel":"a"}', b'{"channel":"a","eventName":"e","payload":[1],"meta":{"user":"SCOTT"}}'):
        message, position = decode_message(body), Position("kx3Jw0aQ.1", 12)
        assert frame(complete(publication_head(message, "order-17"), position)) == publication_frame(
            message, "order-17", position
        )


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@PROPERTY
@given(channel=text, event_name=st.none() | text, message_id=text, epoch=text, offset=st.integers(1, 2**63))
def test_no_name_can_break_out_of_its_place(
    channel: str, event_name: str | None, message_id: str, epoch: str, offset: int
) -> None:
    """Quotes, backslashes and control characters in a name must not add members to the frame."""
    message = Message(channel, event_name, msgspec.Raw(b'{"value":1}'))
    published = json.loads(unframe(publication_frame(message, message_id, Position(epoch, offset))))

    assert published == {
        "channel": channel, "eventName": event_name, "payload": {"value": 1}, "id": message_id, "epoch": epoch,
        "offset": offset,
    }  # fmt: skip


def test_a_reply_repeats_the_id_where_there_was_one() -> None:
    assert unframe(reply_frame("pong")) == b'{"type":"pong"}'
    assert unframe(reply_frame("pong", 0)) == b'{"type":"pong","id":0}'
    assert unframe(reply_frame("subscribed", "x", channel="a", offset=1)) == (
        b'{"type":"subscribed","id":"x","channel":"a","offset":1}'
    )


def test_an_error_says_its_code_and_why() -> None:
    assert unframe(error_frame("forbidden", "no", 3)) == b'{"type":"error","id":3,"code":"forbidden","message":"no"}'
    assert unframe(error_frame("revoked", "gone")) == b'{"type":"error","code":"revoked","message":"gone"}'


@given(st.binary(min_size=0, max_size=3000).map(base64.b64encode))
def test_what_is_compressed_is_the_same_message_again(payload: bytes) -> None:
    framed = frame(payload)

    small = deflate(framed)

    assert len(small) <= len(framed)
    if small is not framed:
        assert (small[0], framed[0]) == (0xC1, 0x81)
        assert zlib.decompressobj(-zlib.MAX_WBITS).decompress(unframe(small) + b"\0\0\xff\xff") == payload


def test_short_messages_and_noise_stay_as_they_are() -> None:
    short, noise, long = frame(b"x" * 200), frame(random.Random(1).randbytes(1000)), frame(b"x" * 1000)

    assert deflate(short) is short
    assert deflate(noise) is noise
    assert len(deflate(long)) < 50
