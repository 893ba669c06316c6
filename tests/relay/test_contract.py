"""What `OutboxStore` promises, on each implementation: fake, PostgreSQL with the real statements, a real Oracle."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from apex_rtm.relay.store import OutboxStore, Refusal, Sent, StoreFault
from tests.relay.harness import NOT_RUN, FakeHarness, Harness, OracleHarness, PostgresHarness, start_cluster
from tests.relay.postgres import Cluster, PostgresStore


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    yield from start_cluster()


@pytest.fixture(
    params=["fake", pytest.param("postgres", marks=pytest.mark.slow), pytest.param("oracle", marks=pytest.mark.slow)]
)
async def harness(request: pytest.FixtureRequest) -> Harness:
    if request.param == "fake":
        return FakeHarness()
    if request.param == "postgres":
        return PostgresHarness(request.getfixturevalue("cluster"))
    if "ORACLE_DSN" not in os.environ:
        pytest.skip(NOT_RUN)
    oracle = OracleHarness()
    await oracle.clear()
    return oracle


async def put(harness: Harness, *message_ids: str, **columns: object) -> list[int]:
    """Rows in one committed transaction."""
    async with harness.begin() as work:
        ids = [await work.insert("a", message_id, **columns) for message_id in message_ids]
        await work.commit()
    return ids


async def opened(harness: Harness, sender: str = "relay", **options: int) -> OutboxStore:
    store = harness.store(sender, **options)
    await store.open()
    return store


async def test_rows_come_in_the_order_of_their_ids_as_they_were_stored(harness: Harness) -> None:
    (first,) = await put(harness, "m1", event_name="ping", payload='{"größe": 1.10}', meta='{"user":"SCOTT"}')
    second, third = await put(harness, "m2", "m3")
    store = await opened(harness)
    await store.take_turn()

    rows = await store.fetch(2)
    assert [row.id for row in rows] == [first, second]
    row = rows[0]
    assert (row.message_id, row.channel, row.event_name, row.attempts) == ("m1", "a", "ping", 0)
    assert (row.payload, row.meta, row.payload_characters) == ('{"größe": 1.10}', '{"user":"SCOTT"}', 15)
    assert 0 <= row.age_s < 60
    assert (rows[1].event_name, rows[1].payload, rows[1].meta, rows[1].payload_characters) == (None, None, None, 0)
    await store.mark_sent([Sent(first, "e", 1), Sent(second, "e", 2)])
    await store.commit()
    await store.take_turn()
    assert [row.id for row in await store.fetch(10)] == [third]
    await store.close()


async def test_marks_are_there_after_the_commit_and_not_before(harness: Harness) -> None:
    (row_id,) = await put(harness, "m1")
    store = await opened(harness, "relay7")
    await store.take_turn()
    await store.fetch(10)
    await store.mark_sent([Sent(row_id, "kx3Jw0aQ.1", 12)])
    await store.note_success()
    assert (await harness.row(row_id))["status"] == "PENDING"
    await store.commit()

    assert await harness.row(row_id) == {
        "status": "SENT", "attempts": 0, "error": None, "publication_epoch": "kx3Jw0aQ.1", "publication_offset": 12,
        "sent_by": "relay7",
    }  # fmt: skip
    assert not await store.has_due()
    await store.close()


async def test_a_session_that_ends_takes_its_marks_and_its_turn_with_it(harness: Harness) -> None:
    (row_id,) = await put(harness, "m1")
    store = await opened(harness)
    await store.take_turn()
    await store.fetch(10)
    await store.mark_sent([Sent(row_id, "e", 1)])
    await store.close()

    assert (await harness.row(row_id))["status"] == "PENDING"
    other = await opened(harness, "other")
    assert await other.take_turn() is not None
    assert [row.id for row in await other.fetch(10)] == [row_id]
    await other.close()


async def test_only_one_session_has_the_turn_and_nobody_waits_for_it(harness: Harness) -> None:
    await put(harness, "m1")
    store, other = await opened(harness), await opened(harness, "other")
    assert await store.take_turn() is not None
    assert await other.take_turn() is None
    await other.commit()
    assert await other.has_due(), "a look needs no turn"
    await store.commit()
    assert await other.take_turn() is not None
    await store.close()
    await other.close()


async def test_what_is_not_committed_is_not_seen_and_a_late_commit_is(harness: Harness) -> None:
    store = await opened(harness)
    async with harness.begin() as early, harness.begin() as undone:
        early_id = await early.insert("a", "early")
        await undone.insert("a", "undone")
        (late_id,) = await put(harness, "late")
        await store.take_turn()
        assert [row.id for row in await store.fetch(10)] == [late_id]
        await store.mark_sent([Sent(late_id, "e", 1)])
        await store.commit()
        await early.commit()
        await undone.rollback()

    assert early_id < late_id
    await store.take_turn()
    assert [row.id for row in await store.fetch(10)] == [early_id]
    await store.close()


async def test_a_refused_row_waits_and_a_parked_one_for_ever(harness: Harness) -> None:
    again, parked = await put(harness, "m1", "m2")
    store = await opened(harness)
    await store.take_turn()
    await store.fetch(10)
    await store.mark_refused(
        [Refusal(again, 1, False, 30.0, "bad_request: why"), Refusal(parked, 5, True, 30.0, "x" * 600)]
    )
    await store.commit()

    assert not await store.has_due()
    await store.take_turn()
    assert await store.fetch(10) == []
    await store.commit()
    row = await harness.row(again)
    assert (row["status"], row["attempts"], row["error"]) == ("PENDING", 1, "bad_request: why")
    assert (await harness.row(parked))["status"] == "PARKED"

    await harness.pass_time(31)
    assert await store.has_due()
    await store.take_turn()
    assert [(row.id, row.attempts) for row in await store.fetch(10)] == [(again, 1)]
    await store.mark_sent([Sent(again, "e", 1)])
    await store.commit()
    assert (await harness.row(again))["error"] is None
    await store.close()


async def test_a_row_that_is_put_off_beyond_every_pause_is_due(harness: Harness) -> None:
    (row_id,) = await put(harness, "m1")
    store = await opened(harness)
    await store.take_turn()
    await store.fetch(10)
    await store.mark_refused([Refusal(row_id, 1, False, 3600.0, "written before the clock was set back")])
    await store.commit()

    assert await store.has_due()
    await store.take_turn()
    assert [row.id for row in await store.fetch(10)] == [row_id]
    await store.close()


async def test_the_turn_tells_how_the_last_tries_went(harness: Harness) -> None:
    await put(harness, "m1")
    store = await opened(harness)
    turn = await store.take_turn()
    assert turn is not None
    assert turn.failures == 0
    assert turn.resume_in_s <= 0
    await store.note_failure(3, 8.0, "HTTP 503: unavailable: draining")
    await store.commit()

    turn = await store.take_turn()
    assert turn is not None
    assert turn.failures == 3
    assert 6 < turn.resume_in_s <= 8
    await store.note_success()
    await store.commit()
    turn = await store.take_turn()
    assert turn is not None
    assert turn.failures == 0
    await store.close()


async def test_a_payload_that_is_too_long_is_told_and_not_fetched(harness: Harness) -> None:
    await put(harness, "m1", payload='"' + "ä" * 2000 + '"')
    store = await opened(harness, max_payload_characters=2001)
    await store.take_turn()
    (row,) = await store.fetch(10)
    assert (row.payload, row.payload_characters) == (None, 2002)
    await store.close()

    store = await opened(harness, max_payload_characters=2002)
    await store.take_turn()
    (row,) = await store.fetch(10)
    assert row.payload is not None
    assert len(row.payload) == 2002
    await store.close()


async def test_a_session_that_was_closed_can_be_opened_again(harness: Harness) -> None:
    await put(harness, "m1")
    store = await opened(harness)
    await store.close()
    await store.close()
    with pytest.raises(StoreFault):
        await store.take_turn()
    await store.open()
    assert await store.take_turn() is not None
    await store.close()


@pytest.mark.slow
async def test_a_database_that_is_not_there_is_a_fault(cluster: Cluster) -> None:
    with pytest.raises(StoreFault):
        await PostgresStore(cluster.dsn.replace("user=rtm", "user=nobody"), "relay").open()
