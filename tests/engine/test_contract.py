"""What `engine/base.py` promises, on every engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest

from apex_rtm.channels import parse_pattern
from apex_rtm.engine.base import Engine
from apex_rtm.message import Position, Published
from apex_rtm.revocations import Revocation
from tests.support.core import make_message
from tests.support.engines import Engines, Kind, at, kept, places, publish, tidy

A, ALL = parse_pattern("a"), parse_pattern("*")


@pytest.fixture(params=get_args(Kind))
async def engines(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engines]:
    made = Engines(request.param, tmp_path / "data")
    yield made
    await made.close()


async def test_a_result_means_that_the_publication_is_in_the_journal(engines: Engines) -> None:
    engine = await engines.start()
    before = engine.journal.top("a")

    (result,) = await publish(engine, "a")

    assert result.position == engine.journal.top("a") == Position(before.epoch, 1)
    assert places(engine.journal.missed(A, before)) == [("a", 1)]
    assert engines.listener.places == [("a", 1)]
    assert not result.repeated
    assert engine.trouble is None


async def test_messages_that_come_together_keep_their_order(engines: Engines) -> None:
    engine = await engines.start()

    results = await publish(engine, "a", "b", "a", "c", "a")

    assert [result.position.offset for result in results] == [1, 1, 2, 1, 3]
    assert engines.listener.places == [("a", 1), ("b", 1), ("a", 2), ("c", 1), ("a", 3)]
    assert [entry.seq for entry in engines.listener.entries] == [1, 2, 3, 4, 5]
    assert await engine.publish([]) == []


async def test_concurrent_publishers_leave_no_hole_and_no_duplicate(engines: Engines) -> None:
    engine = await engines.start()

    async def publisher(number: int) -> list[Published]:
        return [result for turn in range(10) for result in await publish(engine, f"c{(number + turn) % 7}")]

    results = [result for part in await asyncio.gather(*map(publisher, range(50))) for result in part]

    delivered = engines.listener.entries
    assert [entry.seq for entry in delivered] == list(range(1, 501))
    for channel in {entry.channel for entry in delivered}:
        offsets = [entry.position.offset for entry in delivered if entry.channel == channel]
        assert offsets == list(range(1, len(offsets) + 1))
    assert {entry.id for entry in delivered} == {result.id for result in results}
    assert len({result.id for result in results}) == 500
    assert {entry.id: entry.position for entry in delivered} == {result.id: result.position for result in results}


async def test_an_id_is_delivered_once(engines: Engines) -> None:
    engine = await engines.start(idempotency_window_s=300)
    message = make_message("a", message_id="x")
    (first,) = await publish(engine, message)

    results = await publish(engine, message, make_message("a", "other", message_id="x"))
    engines.clock.advance(299)
    results += await publish(engine, message)

    assert results == [Published("x", first.position, repeated=True)] * 3
    assert engines.listener.places == [("a", 1)]


async def test_an_id_that_is_sent_by_many_at_once_is_delivered_once(engines: Engines) -> None:
    """A sender that saw a timeout tries again while its first try still waits for the disk."""
    engine = await engines.start()

    results = await asyncio.gather(*(publish(engine, make_message("a", message_id="x")) for _ in range(20)))

    assert {result.position for (result,) in results} == {engine.journal.top("a")}
    assert sorted(result.repeated for (result,) in results) == [False] + [True] * 19
    assert engines.listener.places == [("a", 1)]


async def test_an_id_belongs_to_its_channel_and_its_window(engines: Engines) -> None:
    engine = await engines.start(idempotency_window_s=300)
    await publish(engine, make_message("a", message_id="x"), make_message("b", message_id="x"))
    engines.clock.advance(300)

    (again,) = await publish(engine, make_message("a", message_id="x"))

    assert not again.repeated
    assert engines.listener.places == [("a", 1), ("b", 1), ("a", 2)]


async def test_reading_and_subscribing_leave_no_gap(engines: Engines) -> None:
    """What is in the journal at any moment, and what is delivered after that moment, is everything once."""
    engine = await engines.start()
    moments = []

    async def reader() -> None:
        for _ in range(10):
            moments.append((places(engine.journal.missed(ALL, at(engine.journal, 0))), len(engines.listener.entries)))
            await asyncio.sleep(0.001)

    await asyncio.gather(reader(), *(publish(engine, "a") for _ in range(20)), reader())

    everything = [("a", offset) for offset in range(1, 21)]
    for missed, delivered in moments:
        assert missed is not None
        assert missed + engines.listener.places[delivered:] == everything


async def test_what_is_old_is_dropped_and_what_is_quiet_is_forgotten(engines: Engines) -> None:
    engine = await engines.start(ttl_s=10, channel_ttl_s=100)
    await publish(engine, "a", "b")
    engines.clock.advance(9)
    (second,) = await publish(engine, "a")

    engines.clock.advance(1)
    await tidy(engine)
    assert (kept(engine.journal, "a"), kept(engine.journal, "b")) == ([2], [])
    assert engine.journal.top("a") == second.position

    engines.clock.advance(90)
    await tidy(engine)
    assert list(engine.journal.channels) == ["a"]  # b is quiet for 100 s, a for 91

    engines.clock.advance(10)
    await tidy(engine)
    assert engine.journal.missed(A, second.position) is None
    (reborn,) = await publish(engine, "a")
    assert reborn.position.offset == 1
    assert reborn.position.epoch != second.position.epoch
    assert engine.trouble is None


async def test_tidying_an_empty_engine_is_no_fault(engines: Engines) -> None:
    engine = await engines.start()

    await tidy(engine)

    assert engine.trouble is None


async def test_more_is_published_than_is_kept(engines: Engines) -> None:
    engine = await engines.start(size=3)
    results = await publish(engine, *["a"] * 10)

    assert kept(engine.journal, "a") == [8, 9, 10]
    assert engine.journal.missed(A, results[5].position) is None
    assert places(engine.journal.missed(ALL, at(engine.journal, 8))) == [("a", 9), ("a", 10)]
    await tidy(engine)
    assert kept(engine.journal, "a") == [8, 9, 10]


async def test_stopping_finishes_what_was_accepted(engines: Engines) -> None:
    engine = await engines.start()
    publishing = [asyncio.create_task(publish(engine, "a")) for _ in range(20)]
    await asyncio.sleep(0)  # every message is with the engine now

    await engines.stop()

    results = await asyncio.gather(*publishing)
    assert [result.position.offset for (result,) in results] == list(range(1, 21))
    assert len(engines.listener.entries) == 20


async def test_the_revocations_of_a_new_engine_are_none(engines: Engines) -> None:
    engine = await engines.start()
    assert list(engine.revocations()) == []

    await engine.revoke(Revocation("SCOTT", None, None, engines.clock.now()))

    assert list(engine.revocations()) == []  # the caller holds those of this life


async def test_the_next_life_is_another_one_unless_it_is_kept(engines: Engines) -> None:
    """Never a third case: positions go on, or their epoch says that they do not."""
    engine = await engines.start()
    (result,) = await publish(engine, "a")
    epoch, seq = engine.journal.here(ALL)
    await engines.stop()

    engine = await engines.start()

    if engines.kind == "memory":
        assert engine.journal.epoch != epoch
        assert engine.journal.missed(A, result.position) is None
    elif engines.kind == "redis":
        assert engine.journal.epoch != epoch, "the order of a node is its own"
        assert engine.journal.missed(A, result.position) == []
    else:
        assert engine.journal.here(ALL) == Position(epoch, seq)
        assert engine.journal.missed(A, result.position) == []


def test_both_engines_are_engines(engines: Engines) -> None:
    engine: Engine = engines.make()

    assert engine.journal.seq == 0
