"""What a publisher sends, checked at the door: nothing gets through that a browser could not read back."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_rtm.errors import Refused
from apex_rtm.message import (
    MAX_EVENT_NAME_CHARACTERS,
    MAX_ID_CHARACTERS,
    Message,
    check_json,
    decode_batch,
    decode_good_batch,
    decode_message,
    decode_request,
)
from tests.support.property import PROPERTY

MAX_DEPTH = 128


def read(body: bytes, *, max_depth: int = MAX_DEPTH) -> Message:
    """What the server does with the body of a broadcast."""
    check_json(body, max_depth=max_depth)
    return decode_message(body)


def with_payload(payload: bytes) -> bytes:
    return b'{"channel":"test","payload":' + payload + b"}"


def refusal(body: bytes, *, max_depth: int = MAX_DEPTH) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        read(body, max_depth=max_depth)
    assert len(caught.value.message) < 200  # a megabyte of digits is not sent back
    return caught.value.code, caught.value.message


# ── a message ──


def test_only_the_channel_is_required() -> None:
    message = read(b'{"channel":"test"}')

    assert (message.channel, message.event_name, message.id) == ("test", None, None)
    assert (bytes(message.payload), bytes(message.meta)) == (b"null", b"null")


def test_payload_and_meta_stay_the_bytes_that_were_sent() -> None:
    message = read(
        b'{ "channel":"t", "payload" : {"b": 1.50, "a":[ ]} , "meta":{"z":1, "a":2}, "eventName":"e", "id":"7"}'
    )

    assert bytes(message.payload) == b'{"b": 1.50, "a":[ ]}'
    assert bytes(message.meta) == b'{"z":1, "a":2}'
    assert (message.event_name, message.id) == ("e", "7")


def test_an_unknown_member_is_ignored() -> None:
    assert read(b'{"channel":"test","colour":"red"}').channel == "test"


def test_of_a_repeated_member_the_last_counts_as_in_a_browser() -> None:
    assert read(b'{"channel":"a","channel":"b"}').channel == "b"
    assert bytes(read(with_payload(b'{"a":1,"a":2}')).payload) == b'{"a":1,"a":2}'


@pytest.mark.parametrize("body", [b"", b"{}", b'{"channel":null}', b'{"channel":""}', b'{"payload":1}'])
def test_without_a_channel_the_words_are_those_of_the_contract(body: bytes) -> None:
    assert refusal(body) == ("channel_required", "channel is required")


@pytest.mark.parametrize("length", [1, MAX_ID_CHARACTERS])
def test_an_id_up_to_its_length(length: int) -> None:
    assert read(json.dumps({"channel": "t", "id": "ü" * length}).encode()).id == "ü" * length


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"channel": "x" * 4001}, "channel has 4001 characters, at most 4000 are allowed"),
        ({"channel": "t", "eventName": "e" * 131}, f"eventName has more than {MAX_EVENT_NAME_CHARACTERS} characters"),
        ({"channel": "t", "id": ""}, "id must have 1 to 128 characters"),
        ({"channel": "t", "id": "i" * 129}, "id must have 1 to 128 characters"),
        ({"channel": "t", "meta": [1]}, "meta must be an object"),
        ({"channel": "t", "meta": "m"}, "meta must be an object"),
        ({"channel": "t", "meta": 0}, "meta must be an object"),
    ],
)
def test_members_out_of_bounds(body: dict[str, object], message: str) -> None:
    assert refusal(json.dumps(body).encode()) == ("bad_request", message)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"channel":5}', "$.channel"), (b'{"channel":"t","eventName":5}', "$.eventName"),
        (b'{"channel":"t","id":5}', "$.id"), (b"[]", "`object`"), (b'"test"', "`object`"), (b"null", "`object`"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_named_with_its_place(body: bytes, where: str) -> None:
    code, message = refusal(body)

    assert code == "bad_request"
    assert where in message


# ── JSON that is none ──

NOT_JSON = [
    b"NaN", b"Infinity", b"-Infinity", b"nan", b"undefined", b"01", b"-01", b"1.", b".5", b"+1", b"-", b"1e", b"1e+",
    b"0x1", b"1_000", b"1 2", b"tru", b"nulL", b'"a', b"'a'", b"[1,]", b'{"a":1,}', b"{a:1}", b'{"a"}', b"[", b"]",
    b"}", b"", b'"\\x"', b'"\\u12"', b'"\\uZZZZ"', b'"\x00"', b'"\t"', b'"\n"', b"/**/1", b"1//",
]  # fmt: skip


@pytest.mark.parametrize("payload", NOT_JSON)
def test_what_is_not_json_is_refused(payload: bytes) -> None:
    assert refusal(with_payload(payload))[0] == "invalid_json"


@pytest.mark.parametrize(
    "body", [b"hello", b"{", b'{"channel":"t"} x', b'{"channel":"t"}{}', b'\xef\xbb\xbf{"channel":"t"}']
)
def test_a_body_that_is_not_one_json_value_is_refused(body: bytes) -> None:
    assert refusal(body)[0] == "invalid_json"


@pytest.mark.parametrize(
    "payload",
    [
        rb'"\ud800"',
        rb'"\udc00"',
        rb'"\udc00\ud800"',
        rb'"\ud800\ud800"',
        rb'"\ud800x"',
        rb'{"a":["\udfff"]}',
        rb'{"\ud800":1}',
    ],
)
def test_half_a_surrogate_pair_is_refused(payload: bytes) -> None:
    """WebSocket text is UTF-8, which has no lone surrogates; a database cannot store them either."""
    assert refusal(with_payload(payload))[0] == "invalid_json"


def test_a_whole_surrogate_pair_is_passed_on() -> None:
    assert bytes(read(with_payload(rb'"\ud83d\ude00"')).payload) == rb'"\ud83d\ude00"'


@pytest.mark.parametrize(
    "bad", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80"],
    ids=["not a start", "overlong", "encoded surrogate", "beyond Unicode", "cut off", "continuation"],
)  # fmt: skip
def test_bytes_that_are_not_utf8_are_refused_with_their_place(bad: bytes) -> None:
    body = with_payload(b'"' + bad + b'"')

    assert refusal(body) == ("invalid_json", f"the body is not UTF-8 (byte {body.index(bad)})")


def test_utf8_of_every_length_is_passed_on() -> None:
    payload = '"aü€😀"'.encode()

    assert bytes(read(with_payload(payload)).payload) == payload


# ── numbers ──


@pytest.mark.parametrize(
    "number",
    [
        b"1e999",
        b"-1e999",
        b"1E+999",
        b"1e309",
        b"9" * 400,
        b"9" * 5000,
        b"-" + b"9" * 5000,
        b"1" + b"0" * 309,
        b"9e308",
    ],
)
@pytest.mark.parametrize("place", [b"%b", b"[1,%b]", b'{"a":{"b":%b}}'])
def test_a_number_beyond_a_double_is_refused(number: bytes, place: bytes) -> None:
    """`JSON.parse` would read Infinity, and the next `JSON.stringify` would write null."""
    code, message = refusal(with_payload(place % number))

    assert code == "invalid_json"
    assert "does not fit a double" in message


@pytest.mark.parametrize(
    "number",
    [
        b"0",
        b"-0",
        b"1e-999",
        b"1e0000000001",
        b"1" * 308,
        b"0." + b"3" * 5000,
        b"1.7976931348623157e308",
        b"5e-324",
        b"12345678901234567890",
    ],
)
def test_a_number_that_a_double_can_stand_for_is_passed_on(number: bytes) -> None:
    assert bytes(read(with_payload(number)).payload) == number


@pytest.mark.parametrize("text", [b'"1e999"', b'"' + b"9" * 5000 + b'"', rb'"a\"1e999"', b'{"9e999":1}'])
def test_digits_within_a_string_are_only_text(text: bytes) -> None:
    assert bytes(read(with_payload(text)).payload) == text


def test_a_constant_beside_a_large_number_is_refused_too() -> None:
    """The slow look at numbers uses a laxer parser, which knows NaN."""
    assert refusal(with_payload(b"[" + b"1" * 300 + b",NaN]")) == ("invalid_json", "NaN is not JSON")
    assert refusal(with_payload(b"[" + b"1" * 300 + b",]"))[0] == "invalid_json"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)
# Pieces that make almost-JSON: most of it is wrong somewhere, and only strict parsers agree where.
pieces = st.lists(
    st.sampled_from(
        [b"[", b"]", b"{", b"}", b",", b":", b'"', b'"a"', b'"\\"', b"\\", b"1", b"0", b"-", b".", b"e", b"E+", b"999",
         b"9" * 200, b"null", b"true", b"NaN", b" ", rb'"\ud83d\ude00"', rb'"\ud800"', b"\xff", b"\xc3\xa9", b'"k":1']
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


@PROPERTY
@given(values)
def test_every_value_of_json_is_passed_on_unchanged(value: object) -> None:
    payload = json.dumps(value, ensure_ascii=False).encode()

    assert bytes(read(with_payload(payload)).payload) == payload


@settings(PROPERTY, max_examples=400)
@given(pieces)
def test_what_is_let_through_can_be_read_back(payload: bytes) -> None:
    """A second parser, which shares no code with the first, must understand whatever is let through."""
    try:
        message = read(with_payload(payload))
    except Refused:
        return

    text = bytes(message.payload).decode()  # UTF-8, or this raises
    for number in _numbers(json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} came through"))):
        assert math.isfinite(number)
    json.loads(text)


def _numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for part in value.values() for number in _numbers(part)]
    if isinstance(value, list):
        return [number for part in value for number in _numbers(part)]
    return [float(value)] if isinstance(value, int | float) else []


# ── batches ──


def test_a_batch_of_nothings_is_counted_before_it_is_read() -> None:
    """Three bytes each, which would be a hundred in memory."""
    assert decode_good_batch(b'{"messages":[' + b",".join([b"{}"] * 199) + b"]}", 10) is not None
    assert decode_good_batch(b'{"messages":[' + b",".join([b"{}"] * 200) + b"]}", 10) is None


# ── depth ──


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_depth_is_counted_exactly(opening: bytes, closing: bytes) -> None:
    levels = opening.count(b"[") + opening.count(b"{")
    count = (MAX_DEPTH - 1) // levels  # the message itself is one level

    def nested(times: int) -> bytes:
        return with_payload(opening * times + b"1" + closing * times)

    read(nested(count), max_depth=1 + count * levels)
    assert refusal(nested(count), max_depth=count * levels) == (
        "invalid_json", f"JSON is nested deeper than {count * levels}"
    )  # fmt: skip


def test_brackets_side_by_side_are_not_deep() -> None:
    read(with_payload(b"[" + b",".join([b"[]"] * 5000) + b"]"))


@pytest.mark.parametrize(
    "text", [b'"' + b"[" * 5000 + b'"', rb'"\"' + b"[{" * 5000 + rb'\\"', rb'"\\",["' + b"[" * 5000 + b'"]']
)
def test_brackets_within_a_string_are_only_text(text: bytes) -> None:
    check_json(b"[" + text + b"]", max_depth=3)


def test_a_document_that_would_exhaust_a_recursive_parser_is_refused_first() -> None:
    levels = 100_000
    for body in (b"[" * levels, b"[" * levels + b"]" * levels, b'{"a":' * levels, b"1e999" + b"[" * levels):
        assert refusal(body) == ("invalid_json", "JSON is nested deeper than 128")


json_values = st.recursive(
    st.sampled_from(["", "[{", '"]"', "a\\", "}{", 1, None]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "]", '"', "[["]), inner, max_size=3)
    ),
    max_leaves=12,
)


def depth_of(value: object) -> int:
    parts = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(map(depth_of, parts), default=0) if isinstance(parts, list) else 0


@PROPERTY
@given(json_values, st.integers(1, 12))
def test_depth_is_that_of_the_value(value: object, max_depth: int) -> None:
    """Among so many brackets side by side that they have to be looked at."""
    whole = [value] + [[]] * 12
    body = json.dumps(whole).encode()

    if depth_of(whole) <= max_depth:
        check_json(body, max_depth=max_depth)
    else:
        with pytest.raises(Refused, match="nested deeper"):
            check_json(body, max_depth=max_depth)


def test_closing_brackets_buy_no_depth() -> None:
    """Were depth allowed below zero to count, `]]]]…` in front would hide what follows."""
    assert refusal(b"]" * 5000 + b"[" * 5000 + b"1e999")[0] == "invalid_json"


# ── time ──


def seconds_for(work: Callable[[], object]) -> float:
    """The least CPU time of some runs: another program on the machine does not count."""
    times = []
    for _ in range(2):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


HOSTILE = {
    "escaped quotes": b'"\\"\\"', "quotes": b'"', "backslashes": b'"\\', "open strings": b'"a', "digits": b"1",
    "exponents": b"1e", "exponent signs": b"e+", "just short": b"1" * 199 + b"e", "brackets": b"[",
    "deep strings": b'["\\"', "in a string": b'\\"e9',
}  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_time_grows_with_the_length_and_not_with_its_square(unit: bytes) -> None:
    """An attacker sends a megabyte of what makes a careless expression start anew at every byte."""

    def check(size: int) -> None:
        body = b"[" * (MAX_DEPTH + 1) + b'"' + unit * (size // len(unit))
        for text in (body, body[len(body) - size :]):
            try:
                read(text)
            except Refused:
                continue

    check(1000)
    small, large = (seconds_for(lambda size=size: check(size)) for size in (125_000, 1_000_000))  # type: ignore[misc]

    # Eight times the bytes: 8 times the time when it is linear, 64 times when it is quadratic.
    assert large < 24 * max(small, 0.002)


# ── batches and other requests ──


def test_a_batch_is_split_without_looking_into_its_messages() -> None:
    parts = decode_batch(b'{"messages":[{"channel":"a"}, 5 ,{"channel":5}],"other":1}', 1000)

    assert [bytes(part) for part in parts] == [b'{"channel":"a"}', b"5", b'{"channel":5}']
    assert decode_message(parts[0]).channel == "a"
    with pytest.raises(Refused, match="Expected `object`"):
        decode_message(parts[1])


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "bad_request"), (b"{}", "bad_request"), (b'{"messages":{}}', "bad_request"), (b"[]", "bad_request"),
     (b"{", "invalid_json"), (b'{"messages":[NaN]}', "invalid_json")],
)  # fmt: skip
def test_what_is_no_batch_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        decode_batch(body, 1000)

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("item", "count"),
    [(b"0", 3), (b"[0,0,0]", 3), (b'{"a":[0,0],"b":",,,,"}', 3), (b'"\\",,,"', 3), (b"[[],[],[]]", 3)],
)
def test_a_batch_of_many_commas_is_counted_before_it_is_split(item: bytes, count: int) -> None:
    """`[0,0,0,…` has millions of items in few megabytes, and splitting them takes thirty times the memory."""
    padding = b',"padding":"' + b"," * 1000 + b'"'

    def batch(items: int) -> bytes:
        return b'{"messages":[' + b",".join([item] * items) + b"]" + padding + b"}"

    assert len(decode_batch(batch(count), max_messages=count)) == count
    with pytest.raises(Refused, match=f"a batch has at most {count} messages") as caught:
        decode_batch(batch(count + 1), max_messages=count)
    assert caught.value.code == "too_large"


def test_a_batch_that_is_too_large_is_not_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apex_rtm.message._decode_batch", lambda _: pytest.fail("it was split"))

    with pytest.raises(Refused, match="at most 10 messages"):
        decode_batch(b'{"messages":[' + b"0," * 5000 + b"0]}", max_messages=10)


class Wanted(msgspec.Struct):
    name: str = "nobody"
    ttl: float = 1


def test_another_request_is_read_into_its_struct() -> None:
    assert decode_request(b'{"name":"SCOTT","ttl":5}', Wanted, max_depth=5) == Wanted("SCOTT", 5)
    assert decode_request(b"", Wanted, max_depth=5) == Wanted()


@pytest.mark.parametrize(
    ("body", "code"),
    [(b'{"name":5}', "bad_request"), (b"{", "invalid_json"), (b'{"ttl":1e999}', "invalid_json"),
     (b"\xff", "invalid_json"), (b'{"name":[[[[[[]]]]]]}', "invalid_json")],
)  # fmt: skip
def test_another_request_is_checked_as_strictly(body: bytes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        decode_request(body, Wanted, max_depth=5)

    assert caught.value.code == code
