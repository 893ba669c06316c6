"""The one door for publications."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_rtm.engine.memory import MemoryEngine
from apex_rtm.errors import Refused, RtmError, Unavailable
from apex_rtm.message import Published
from apex_rtm.publish import Publisher
from tests.support.clock import FakeClock
from tests.support.core import make_journal
from tests.support.fault import FaultyEngine
from tests.support.property import PROPERTY


class Door:
    """A publisher over an engine that can fail."""

    def __init__(self, *, max_message_bytes: int = 1000, max_batch_messages: int = 5, publish_rate: float = 0) -> None:
        self.clock = FakeClock()
        self.engine = FaultyEngine(MemoryEngine(make_journal(), self.clock))
        self.publisher = Publisher(
            self.engine, self.clock, max_message_bytes=max_message_bytes, max_batch_messages=max_batch_messages,
            max_json_depth=10, publish_rate=publish_rate,
        )  # fmt: skip

    async def publish(self, **message: Any) -> Published:
        return await self.publisher.publish(json.dumps(message).encode())

    async def publish_batch(self, *messages: Any) -> list[Published | RtmError]:
        return await self.publisher.publish_batch(json.dumps({"messages": messages}).encode())


def outcome(result: Published | RtmError) -> int | str:
    return result.position.offset if isinstance(result, Published) else result.code


async def test_a_message_is_published() -> None:
    door = Door()

    result = await door.publish(channel="a", payload=1, id="x")

    assert (result.id, result.position) == ("x", door.engine.journal.top("a"))
    assert await door.publish(channel="a", payload=2, id="x") == Published("x", result.position, repeated=True)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", "channel_required"), (b"", "channel_required"), (b"{", "invalid_json"), (b"[]", "bad_request"),
        (b'{"channel":"a","payload":1e999}', "invalid_json"), (b'{"channel":"\xff"}', "invalid_json"),
        (b'{"channel":"a","payload":' + b"[" * 10 + b"]" * 10 + b"}", "invalid_json"),
        (b'{"channel":"a","payload":"' + b"x" * 1000 + b'"}', "too_large"),
        (b"[" * 1001, "too_large"),
    ],
)  # fmt: skip
async def test_a_wrong_message_never_reaches_the_engine(body: bytes, code: str) -> None:
    door = Door()

    with pytest.raises(Refused) as caught:
        await door.publisher.publish(body)

    assert caught.value.code == code
    assert door.engine.calls == []


async def test_a_message_of_just_the_size_is_published() -> None:
    body = b'{"channel":"a"}'
    body += b" " * (1000 - len(body))

    assert (await Door().publisher.publish(body)).position.offset == 1
    with pytest.raises(Refused, match=r"the message has 1001 bytes, at most 1000 are allowed \(max_message_bytes\)"):
        await Door().publisher.publish(body + b" ")


async def test_an_engine_that_cannot_take_it_is_unavailable() -> None:
    door = Door()
    door.engine.trouble = "the disk is full"

    with pytest.raises(Unavailable, match="the disk is full"):
        await door.publish(channel="a")


# ── batches ──


async def test_a_batch_has_one_result_for_each_message_in_order() -> None:
    door = Door()

    results = await door.publish_batch(
        {"channel": "a"}, {"channel": ""}, {"channel": "b"}, {"channel": "a", "payload": "x" * 1000}, {"channel": "a"}
    )

    assert [outcome(result) for result in results] == [1, "channel_required", 1, "too_large", 2]
    assert [message.channel for message in door.engine.calls[0]] == ["a", "b", "a"]


async def test_a_batch_knows_the_ids_within_it() -> None:
    results = await Door().publish_batch({"channel": "a", "id": "x"}, {"channel": "a"}, {"channel": "a", "id": "x"})

    assert [outcome(result) for result in results] == [1, 2, 1]


async def test_a_batch_of_nothing_good_does_not_ask_the_engine() -> None:
    door = Door()

    assert [outcome(result) for result in await door.publish_batch({}, 5, [])] == [
        "channel_required", "bad_request", "bad_request",
    ]  # fmt: skip
    assert await door.publish_batch() == []
    assert door.engine.calls == []


async def test_a_batch_that_the_engine_cannot_take_says_so_for_each_good_message() -> None:
    door = Door()
    door.engine.trouble = "the disk is full"

    results = await door.publish_batch({"channel": "a"}, {}, {"channel": "b"})

    assert [outcome(result) for result in results] == ["unavailable", "channel_required", "unavailable"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", "bad_request"), (b'{"messages":5}', "bad_request"), (b"{", "invalid_json"),
        (b'{"messages":[{"channel":"a","payload":1e999}]}', "invalid_json"),
        (b'{"messages":[{},{},{},{},{},{}]}', "too_large"),
    ],
)  # fmt: skip
async def test_a_wrong_batch_is_refused_as_a_whole(body: bytes, code: str) -> None:
    door = Door()

    with pytest.raises(Refused) as caught:
        await door.publisher.publish_batch(body)

    assert caught.value.code == code
    assert door.engine.calls == []


batches = st.lists(
    st.sampled_from([
        {"channel": "a"}, {"channel": "a", "id": "x"}, {"channel": ""}, {"channel": "a", "payload": "[{}"}, 5,
        {"channel": "a", "meta": []}, {"channel": "a", "meta": None}, {"channel": "b", "eventName": 5}, {},
    ]),
    max_size=6,
)  # fmt: skip


@PROPERTY
@given(batches)
def test_a_batch_has_the_same_results_however_it_is_read(messages: list[Any]) -> None:
    """One that is no longer than a message may be is read in one go, where nothing in it is wrong."""

    async def read(max_message_bytes: int) -> Any:
        door = Door(max_message_bytes=max_message_bytes)
        try:
            results = await door.publish_batch(*messages)
        except Refused as refused:
            return refused.code
        payloads = [(bytes(message.payload), bytes(message.meta)) for call in door.engine.calls for message in call]
        return [outcome(result) for result in results], payloads

    assert asyncio.run(read(1000)) == asyncio.run(read(60))


async def test_a_batch_over_the_rate_is_refused_before_its_messages_are_looked_at() -> None:
    door = Door(publish_rate=1, max_batch_messages=5)
    await door.publish_batch(*[{"channel": "a"}] * 5)

    with pytest.raises(Refused, match="publish_rate"):
        await door.publish_batch({}, 5, {"channel": "a"})


# ── the rate ──


async def test_publishing_has_a_rate() -> None:
    door = Door(publish_rate=10)
    for _ in range(10):
        await door.publish(channel="a")

    with pytest.raises(Refused, match="publish_rate") as caught:
        await door.publish(channel="a")
    assert caught.value.code == "rate_limited"

    door.clock.advance(0.1)
    await door.publish(channel="a")
    assert len(door.engine.calls) == 11


async def test_a_full_batch_is_possible_whatever_the_rate() -> None:
    """A rate below the size of a batch would otherwise refuse it for ever."""
    door = Door(publish_rate=1, max_batch_messages=5)

    assert [outcome(result) for result in await door.publish_batch(*[{"channel": "a"}] * 5)] == [1, 2, 3, 4, 5]
    with pytest.raises(Refused, match="publish_rate"):
        await door.publish_batch({"channel": "a"})


async def test_a_refused_message_costs_no_permit() -> None:
    door = Door(publish_rate=5)
    for _ in range(20):
        with pytest.raises(Refused, match="channel is required"):
            await door.publish()

    await door.publish(channel="a")
