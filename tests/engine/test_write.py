"""A batch gives positions without touching the journal: it may fail as a whole."""

from __future__ import annotations

import json

from apex_rtm.engine.journal import Journal
from apex_rtm.engine.write import Batch
from apex_rtm.message import Message, Position, Published
from apex_rtm.protocol import unframe
from tests.support.core import add_to_journal, make_journal, make_message


def append(journal: Journal, batch: Batch) -> None:
    for entry in batch.entries:
        journal.append(entry)


def test_positions_go_on_from_the_journal() -> None:
    journal = make_journal()
    epoch = add_to_journal(journal, "a").position.epoch
    batch = Batch(journal, 5.0)

    results = [batch.add(make_message(channel)) for channel in ("a", "b", "a")]

    assert [result.position for result in results] == [Position(epoch, 2), Position(epoch, 1), Position(epoch, 3)]
    assert [(entry.seq, entry.channel, entry.at) for entry in batch.entries] == [
        (2, "a", 5.0),
        (3, "b", 5.0),
        (4, "a", 5.0),
    ]
    assert not any(result.repeated for result in results)


def test_nothing_changes_until_the_entries_are_appended() -> None:
    journal = make_journal()
    failed = Batch(journal, 0.0)
    failed.add(make_message("a", message_id="x"))

    assert (journal.seq, journal.channels, journal.seen("a", "x", 0.0)) == (0, {}, None)

    batch = Batch(journal, 0.0)
    assert batch.add(make_message("a", message_id="x")).position.offset == 1
    append(journal, batch)
    assert journal.top("a").offset == 1


def test_a_frame_is_made_once_with_the_position_in_it() -> None:
    batch = Batch(make_journal(), 0.0)

    published = batch.add(make_message("a", {"value": 1}, message_id="x", event_name="ping"))

    (entry,) = batch.entries
    assert json.loads(unframe(entry.frame)) == {
        "channel": "a", "eventName": "ping", "payload": {"value": 1}, "id": "x", "epoch": published.position.epoch,
        "offset": 1,
    }  # fmt: skip
    assert (entry.id, entry.has_sender_id) == ("x", True)


def test_a_repeated_id_gets_the_first_result_within_a_batch_and_after_it() -> None:
    journal = make_journal(idempotency_window_s=300)
    batch = Batch(journal, 1000.0)
    first = batch.add(make_message("a", message_id="x"))
    again = batch.add(make_message("a", "something else", message_id="x"))
    other = batch.add(make_message("b", message_id="x"))

    assert again == Published("x", first.position, repeated=True)
    assert not other.repeated
    assert len(batch.entries) == 2
    append(journal, batch)

    assert Batch(journal, 1299.0).add(make_message("a", message_id="x")) == again
    later = Batch(journal, 1300.0).add(make_message("a", message_id="x"))
    assert (later.repeated, later.position.offset) == (False, 2)


def test_messages_without_an_id_get_one_each() -> None:
    batch = Batch(make_journal(), 0.0)
    ids = [batch.add(make_message("a")).id for _ in range(100)]

    assert len(set(ids)) == 100
    assert all(0 < len(one) <= 128 for one in ids)
    assert [entry.has_sender_id for entry in batch.entries] == [False] * 100


def test_a_message_without_a_channel_has_the_empty_one() -> None:
    """The door refuses it; the type allows it, so it must not break what comes after."""
    assert Batch(make_journal(), 0.0).add(Message()).position.offset == 1
