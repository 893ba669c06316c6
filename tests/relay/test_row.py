"""A row becomes exactly one message, whatever its texts hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_rtm.errors import Refused
from apex_rtm.message import decode_batch, decode_message
from apex_rtm.relay.row import Row, encode_batch, encode_message
from tests.support.property import PROPERTY

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=3))


@PROPERTY
@given(
    channel=TEXT,
    event_name=st.none() | TEXT,
    message_id=TEXT,
    payload=JSON,
    meta=st.none() | st.dictionaries(TEXT, JSON),
)
def test_the_server_reads_what_was_stored(
    channel: str, event_name: str | None, message_id: str, payload: object, meta: dict[str, object] | None
) -> None:
    row = Row(1, message_id, channel, event_name, json.dumps(payload), None if meta is None else json.dumps(meta))

    (part,) = decode_batch(encode_batch([encode_message(row)]), max_messages=1)
    message = decode_message(part)
    assert (message.channel, message.event_name, message.id) == (channel, event_name, message_id)
    assert json.loads(bytes(message.payload)) == payload
    assert json.loads(bytes(message.meta)) == meta


def test_the_payload_stays_as_it_was_written() -> None:
    row = Row(1, "m", "a", None, '{"price": 1.10, "n": 12345678901234567890}')

    assert b'"payload":{"price": 1.10, "n": 12345678901234567890}' in encode_message(row)


def test_no_payload_and_no_meta() -> None:
    assert encode_message(Row(1, "m", "a")) == b'{"channel":"a","eventName":null,"payload":null,"id":"m"}'


@pytest.mark.parametrize(
    "text", ["", "1,2", '1},{"channel":"user:KING"', "1}]}", "[1", "nul", "NaN", '"\\ud800"', "'a'", "1 2"]
)
@pytest.mark.parametrize("column", ["payload", "meta"])
def test_text_that_would_break_out_of_its_message_is_refused(text: str, column: str) -> None:
    with pytest.raises(Refused, match=f"the {column} is not one JSON value") as refused:
        encode_message(
            Row(1, "m", "a", payload=text if column == "payload" else None, meta=text if column == "meta" else None)
        )
    assert refused.value.code == "invalid_json"


def test_a_channel_that_is_not_unicode_text_is_refused() -> None:
    with pytest.raises(Refused, match="not Unicode"):
        encode_message(Row(1, "m", "\ud800"))


def test_a_payload_that_was_too_long_to_fetch_is_refused_and_not_sent_as_null() -> None:
    with pytest.raises(Refused, match="5000000 characters") as refused:
        encode_message(Row(1, "m", "a", payload_characters=5_000_000))
    assert refused.value.code == "too_large"
