"""The two entries for bytes from outside, in process: whatever comes in, a publication or a refusal comes out."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apex_rtm.errors import Refused
from apex_rtm.message import Published
from apex_rtm.protocol import unframe
from apex_rtm.publish import Publisher
from tests.support.core import Core
from tests.support.server import JWT_SECRET

pytestmark = pytest.mark.slow
bounded = settings(derandomize=True, max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))

JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**300, 10**320)
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20),  # lone surrogates too
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = st.sampled_from(["channel", "eventName", "payload", "meta", "id", "type", "since", "token", "presence", "x"])
OBJECTS = st.dictionaries(MEMBERS, JSON_VALUES, max_size=6)
# Text that is nearly JSON: a parser's corners are beside what is valid, not far away from it.
PIECES = st.sampled_from(
    [b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\\u", b"d800", b"1", b"e", b"999", b"-", b".", b"NaN", b"null",
     b"true", b'"channel"', b'"type"', b'"payload"', b'"subscribe"', b'"messages"', b" ", b"\n", b"\x00", b"\xff",
     b"\xc3"]
)  # fmt: skip
NEARLY_JSON = st.lists(PIECES, max_size=40).map(b"".join)


def _as_json(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")  # NaN and Infinity are written as such


# Messages that would be good, but for one literal that no JSON library would write.
POISON = st.sampled_from(
    [b"1e999", b"-1E+400", b"9" * 400, b"1." + b"9" * 400 + b"e300", b"NaN", b"-Infinity", b'"\\ud800"', b'"\xff"',
     b"[" * 30 + b"]" * 30, b"01", b"1", b'"\x00"']
)  # fmt: skip
MESSAGES = st.fixed_dictionaries(
    {
        "channel": st.text(min_size=1, max_size=5),
        "payload": st.just("@") | st.lists(st.just("@") | JSON_VALUES, max_size=3),
    },
    optional={"meta": st.dictionaries(st.text(max_size=3), st.just("@") | JSON_VALUES, max_size=2)},
)
POISONED = st.tuples(MESSAGES, POISON).map(lambda pair: _as_json(pair[0]).replace(b'"@"', pair[1]))
BODIES = POISONED | st.binary(max_size=200) | NEARLY_JSON | OBJECTS.map(_as_json) | JSON_VALUES.map(_as_json)


def _reads_back(text: bytes) -> Any:
    """Read as a browser would: strict JSON, no number that becomes Infinity."""

    def number(digits: str) -> float:
        value = float(digits)
        assert math.isfinite(value), digits
        return value

    def refuse(word: str) -> None:
        raise AssertionError(word)

    text.decode("utf-8", "strict")
    return json.loads(text, parse_float=number, parse_int=number, parse_constant=refuse)


async def _publish(body: bytes, *, batch: bool) -> None:
    core = await Core().start()
    listener = core.open(old_listener=[])
    received: list[bytes] = []
    listener.session.send = lambda frame: received.append(unframe(frame))
    publisher = Publisher(
        core.engine, core.clock,
        max_message_bytes=1_048_576, max_batch_messages=10, max_json_depth=20, publish_rate=0,
    )  # fmt: skip
    results: list[Any]
    try:
        results = list(await publisher.publish_batch(body)) if batch else [await publisher.publish(body)]
    except Refused as refused:
        results = [refused]
    for refusal in [result for result in results if isinstance(result, Exception)]:
        assert isinstance(refusal, Refused)
        assert refusal.code in {"invalid_json", "bad_request", "channel_required", "too_large"}
        assert len(refusal.message) < 400
    accepted = [result for result in results if isinstance(result, Published)]
    assert len(received) == len([result for result in accepted if not result.repeated])
    for frame in received:
        publication = _reads_back(frame)
        assert isinstance(publication["channel"], str)
        assert {"channel", "eventName", "payload", "id", "epoch", "offset"} <= publication.keys()
        assert publication["channel"]


@bounded
@given(BODIES)
def test_any_body_of_a_broadcast_is_a_publication_that_browsers_can_read_or_a_refusal(body: bytes) -> None:
    asyncio.run(_publish(body, batch=False))


@bounded
@given(
    BODIES
    | st.lists(OBJECTS | JSON_VALUES, max_size=12).map(lambda messages: _as_json({"messages": messages}))
    | NEARLY_JSON.map(lambda text: b'{"messages":[' + text + b"]}")
    | st.lists(POISONED, max_size=4).map(lambda messages: b'{"messages":[' + b",".join(messages) + b"]}")
)
def test_any_body_of_a_batch_is_publications_or_refusals(body: bytes) -> None:
    asyncio.run(_publish(body, batch=True))


COMMANDS = (
    st.binary(max_size=200)
    | NEARLY_JSON
    | JSON_VALUES.map(_as_json)
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["connect", "subscribe", "unsubscribe", "refresh", "ping"]) | JSON_VALUES},
        optional={
            "id": st.integers() | st.text(max_size=5) | JSON_VALUES,
            "channel": st.sampled_from(["a", "a*", "*", "chat:a", "user:SCOTT", ""]) | JSON_VALUES,
            "token": st.sampled_from(["good", "bad"]) | JSON_VALUES,
            "since": st.fixed_dictionaries({"epoch": st.text(max_size=4), "offset": st.integers()}) | JSON_VALUES,
            "presence": st.booleans() | JSON_VALUES,
        },
    ).map(_as_json)
)


async def _converse(core: Core, frames: list[bytes]) -> None:
    await core.start()
    client = core.open()
    sent: list[bytes] = []
    client.session.send = lambda frame: sent.append(unframe(frame))
    good = core.token("SCOTT", "a*", "chat:*").encode()
    for number, frame in enumerate(frames):
        if client.session.ended:
            break
        before = len(sent)
        client.session.on_text(frame.replace(b'"good"', b'"' + good + b'"'))
        assert len(sent) > before, "a command without an answer"
        if number % 2:
            await core.publish("a")
    for text in sent:
        frame_sent = _reads_back(text)
        if frame_sent.get("type") == "error":
            assert frame_sent["message"]
            assert JWT_SECRET not in frame_sent["message"]
    client.session.on_closed()
    assert not core.hub.sessions
    assert list(core.hub.registry.channels()) == []


@pytest.mark.parametrize("secured", [False, True], ids=["open", "secured"])
def test_any_frames_get_answers_and_leave_nothing_behind(secured: bool) -> None:
    @bounded
    @given(st.lists(COMMANDS, max_size=6))
    def converse(frames: list[bytes]) -> None:
        asyncio.run(_converse(Core(secured=secured), frames))

    converse()
