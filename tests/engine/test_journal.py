"""The log of all channels: positions, retention, idempotency and what was missed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_rtm.channels import Pattern, parse_pattern
from apex_rtm.engine.journal import Entry, Journal, Retention, new_epoch
from apex_rtm.message import Position, Published
from tests.support.core import add_to_journal, make_journal, size_of
from tests.support.property import PROPERTY

A, ALL = parse_pattern("a"), parse_pattern("*")


def places(entries: Sequence[Entry] | None) -> list[tuple[str, int]] | None:
    return None if entries is None else [(entry.channel, entry.position.offset) for entry in entries]


def fill(journal: Journal, channels: str, at: float = 0.0) -> list[Entry]:
    """Publish once for each letter, to the channel of that name."""
    return [add_to_journal(journal, channel, at) for channel in channels]


def sweep(journal: Journal, now: float) -> None:
    """Sweep until every channel was looked at."""
    for _ in range(3):
        journal.sweep(now)


# ── positions ──


def test_offsets_count_from_one_in_each_channel_and_the_journal_counts_them_all() -> None:
    journal = make_journal()

    entries = fill(journal, "abaab")

    assert places(entries) == [("a", 1), ("b", 1), ("a", 2), ("a", 3), ("b", 2)]
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
    assert journal.top("a") == entries[3].position
    assert journal.here(A) == journal.top("a")
    assert journal.here(ALL) == Position(journal.epoch, 5)


def test_a_channel_that_was_never_published_to_has_a_position_but_takes_no_memory() -> None:
    journal = make_journal()

    assert journal.top("a") == journal.top("b") == Position(f"{journal.epoch}.1", 0)
    assert journal.channels == {}
    (entry,) = fill(journal, "a")
    assert entry.position == Position(f"{journal.epoch}.1", 1)


def test_no_two_lives_have_the_same_epoch() -> None:
    epochs = {new_epoch() for _ in range(1000)}

    assert len(epochs) == 1000
    assert all(len(epoch) == 8 and epoch.isascii() for epoch in epochs)
    assert make_journal().epoch != make_journal().epoch


# ── what was missed, by exact name ──


def test_what_was_missed_is_what_came_after_in_order() -> None:
    journal = make_journal()
    entries = fill(journal, "ababa")
    epoch = entries[0].position.epoch

    for offset in range(4):
        assert places(journal.missed(A, Position(epoch, offset))) == [("a", n) for n in range(offset + 1, 4)]


def test_a_position_that_never_was_is_not_known() -> None:
    journal = make_journal()
    (entry,) = fill(journal, "a")
    epoch = entry.position.epoch

    for since in (Position(epoch, 2), Position(epoch, -1), Position("other", 1), Position(journal.epoch, 1),
                  Position("", 0)):  # fmt: skip
        assert journal.missed(A, since) is None


def test_of_a_channel_without_a_life_only_its_very_position_is_known() -> None:
    journal = make_journal()
    top = journal.top("a")

    assert journal.missed(A, top) == []
    assert journal.missed(A, Position(top.epoch, 1)) is None
    assert journal.missed(A, Position("other", 0)) is None


def test_what_was_evicted_is_not_known_any_more() -> None:
    journal = make_journal(size=3)
    epoch = fill(journal, "aaaaa")[0].position.epoch

    assert places(journal.missed(A, Position(epoch, 2))) == [("a", 3), ("a", 4), ("a", 5)]
    assert journal.missed(A, Position(epoch, 1)) is None
    assert journal.missed(A, Position(epoch, 5)) == []


# ── what was missed, by prefix ──


def test_a_prefix_finds_its_channels_in_the_order_of_the_journal() -> None:
    journal = make_journal()
    for channel in ("x:a", "y:a", "x:b", "x:a", "y:b"):
        add_to_journal(journal, channel)
    pattern = parse_pattern("x:*")

    assert places(journal.missed(pattern, Position(journal.epoch, 0))) == [("x:a", 1), ("x:b", 1), ("x:a", 2)]
    assert places(journal.missed(pattern, Position(journal.epoch, 1))) == [("x:b", 1), ("x:a", 2)]
    assert journal.missed(pattern, Position(journal.epoch, 5)) == []
    for unknown in (Position(journal.epoch, 6), Position(journal.epoch, -1), Position("other", 1)):
        assert journal.missed(pattern, unknown) is None


def test_a_prefix_sees_what_its_viewer_may_see() -> None:
    journal = make_journal()
    for channel in ("user:KING", "user:SCOTT", "app:1"):
        add_to_journal(journal, channel)

    missed = journal.missed(Pattern("*", "", is_prefix=True, viewer="SCOTT"), Position(journal.epoch, 0))

    assert places(missed) == [("user:SCOTT", 1), ("app:1", 1)]


def test_a_loss_in_another_prefix_does_not_matter() -> None:
    journal = make_journal(size=1)
    for channel in ("x:a", "x:a", "y:a"):  # the first one is lost
        add_to_journal(journal, channel)

    assert journal.missed(parse_pattern("x:*"), Position(journal.epoch, 0)) is None
    assert places(journal.missed(parse_pattern("x:*"), Position(journal.epoch, 1))) == [("x:a", 2)]
    assert places(journal.missed(parse_pattern("y:*"), Position(journal.epoch, 0))) == [("y:a", 1)]


def test_a_channel_that_was_forgotten_may_have_been_anybodys() -> None:
    journal = make_journal(ttl_s=1, channel_ttl_s=1)
    fill(journal, "aab")
    sweep(journal, 10)
    assert journal.channels == {}

    for offset, known in [(0, False), (1, False), (2, False), (3, True)]:
        assert (journal.missed(ALL, Position(journal.epoch, offset)) is not None) is known


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_what_was_missed_comes_in_parts(limit: int) -> None:
    journal = make_journal(sizes={"x": 1})
    fill(journal, "abxaabxb" + "x" * 30 + "b")  # holes, few at first and then more than there are entries
    everything = places(journal.missed(parse_pattern("b*"), Position(journal.epoch, 0)))

    for name, epoch in [("b*", journal.epoch), ("b", f"{journal.epoch}.1")]:
        pattern, found, cursor = parse_pattern(name), list[Entry](), Position(epoch, 0)
        while part := journal.missed(pattern, cursor, limit):
            assert len(part) <= limit
            found += part
            cursor = Position(cursor.epoch, part[-1].seq) if pattern.is_prefix else part[-1].position
        assert places(found) == everything == [("b", n) for n in range(1, 5)]


def test_a_late_place_is_found_without_a_walk_through_the_journal() -> None:
    """A slow reader comes back for every few frames: were each time a walk, one of them would take a whole core."""
    journal = make_journal(size=5000)
    fill(journal, "ab" * 2000)
    walks = 0

    class Counting(OrderedDict[int, Entry]):
        def items(self) -> Any:
            nonlocal walks
            walks += 1
            return super().items()

    journal._order = Counting(journal._order)

    assert places(journal.missed(ALL, Position(journal.epoch, 3990), 2)) == [("a", 1996), ("b", 1996)]
    assert walks == 0


# ── from a publication to its place in the journal ──


def test_a_publication_is_found_in_the_journal() -> None:
    journal = make_journal()
    entries = fill(journal, "abbab")

    for entry in entries:
        assert journal.journal_position(entry.channel, entry.position) == Position(journal.epoch, entry.seq)


def test_the_publication_before_the_oldest_that_is_kept_is_found_too() -> None:
    """Nothing after it is gone, so whoever holds it has missed nothing."""
    journal = make_journal(size=2)
    entries = fill(journal, "abaab")

    assert journal.journal_position("a", entries[0].position) == Position(journal.epoch, entries[0].seq)
    assert places(journal.missed(ALL, Position(journal.epoch, entries[0].seq))) == [
        ("b", 1), ("a", 2), ("a", 3), ("b", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("offset", [-1, 0, 1, 6])
def test_a_publication_that_is_gone_or_never_was_is_not_found(offset: int) -> None:
    journal = make_journal(size=2)
    epoch = fill(journal, "aaaaa")[0].position.epoch

    assert journal.journal_position("a", Position(epoch, offset)) is None
    assert journal.journal_position("b", Position(epoch, 0)) is None
    assert journal.journal_position("a", Position("other", 5)) is None


def test_a_channel_that_keeps_nothing_still_knows_its_last_place() -> None:
    journal = make_journal(size=0)
    entries = fill(journal, "ab")

    assert journal.missed(A, entries[0].position) == []
    assert journal.journal_position("a", entries[0].position) == Position(journal.epoch, 1)
    assert journal.missed(A, Position(entries[0].position.epoch, 0)) is None
    assert journal.missed(ALL, Position(journal.epoch, 1)) is None  # b's publication is not kept either


# ── retention ──


def test_each_channel_keeps_its_own_number_of_publications() -> None:
    journal = Journal(
        retention=lambda channel: Retention(1 if channel == "a" else 3, 60),
        max_bytes=1 << 20,
        channel_ttl_s=60,
        idempotency_window_s=60,
    )
    fill(journal, "aaabbbbb")

    assert places(journal.channels["a"].entries) == [("a", 3)]
    assert places(journal.channels["b"].entries) == [("b", 3), ("b", 4), ("b", 5)]


def test_all_channels_together_keep_no_more_bytes_than_allowed() -> None:
    one = size_of([add_to_journal(make_journal(), "a")])
    journal = make_journal(max_bytes=3 * one)

    fill(journal, "aabbc")

    assert [places(journal.channels[name].entries) for name in "abc"] == [[], [("b", 1), ("b", 2)], [("c", 1)]]
    assert journal.size_bytes == 3 * one
    assert journal.top("a").offset == 2  # what is gone was still published
    assert places(journal.missed(A, journal.top("a"))) == []


def test_a_publication_larger_than_everything_leaves_an_empty_log() -> None:
    journal = make_journal(max_bytes=1)
    fill(journal, "ab")

    assert (journal.size_bytes, journal.seq) == (0, 2)


def test_publications_grow_old() -> None:
    journal = make_journal(ttl_s=10)
    fill(journal, "a", at=100)
    fill(journal, "a", at=105)

    sweep(journal, 109.9)
    assert places(journal.channels["a"].entries) == [("a", 1), ("a", 2)]
    sweep(journal, 110)
    assert places(journal.channels["a"].entries) == [("a", 2)]
    sweep(journal, 115)
    assert places(journal.channels["a"].entries) == []
    assert journal.size_bytes == 0


def test_a_channel_is_forgotten_when_it_is_empty_and_quiet() -> None:
    journal = make_journal(ttl_s=10, channel_ttl_s=100)
    before = fill(journal, "a", at=0)[0].position

    sweep(journal, 99)
    assert journal.top("a") == before
    sweep(journal, 100)
    assert journal.channels == {}
    assert journal.top("a").epoch != before.epoch
    assert journal.missed(A, before) is None
    assert journal.missed(A, Position(before.epoch, 0)) is None


def test_a_channel_that_still_keeps_something_is_not_forgotten() -> None:
    journal = make_journal(ttl_s=1000, channel_ttl_s=1)
    fill(journal, "a", at=0)

    sweep(journal, 500)

    assert list(journal.channels) == ["a"]


def test_a_new_life_is_never_mistaken_for_the_one_before() -> None:
    journal = make_journal(ttl_s=1, channel_ttl_s=1)
    empty = journal.top("a")
    first = fill(journal, "a", at=0)[0].position
    sweep(journal, 10)
    between = journal.top("a")
    second = fill(journal, "a", at=10)[0].position
    sweep(journal, 20)
    after = journal.top("a")

    assert len({empty.epoch, between.epoch, after.epoch}) == 3
    assert (first.epoch, second.epoch) == (empty.epoch, between.epoch)
    assert journal.missed(A, between) is None
    assert journal.missed(A, second) is None
    assert journal.missed(A, after) == []


def test_a_generation_that_was_lost_in_a_crash_is_not_given_again() -> None:
    """Two servers start from the same file; one crashes before its new generation is written."""
    crashed, restarted = (make_journal(ttl_s=1, channel_ttl_s=1) for _ in range(2))
    restarted.epoch = crashed.epoch
    for journal in (crashed, restarted):
        fill(journal, "a", at=0)
        sweep(journal, 10)

    assert crashed.top("b") != restarted.top("b")
    assert restarted.missed(parse_pattern("b"), crashed.top("b")) is None


def test_forgetting_a_channel_of_an_older_generation_leaves_the_quiet_ones_their_position() -> None:
    """Were it otherwise, one busy server would tell every quiet page each second that it may have missed something."""
    journal = make_journal(ttl_s=1, channel_ttl_s=1)
    fill(journal, "ab", at=0)
    fill(journal, "b", at=5)
    sweep(journal, 5)
    quiet = journal.top("quiet")
    assert quiet.epoch != journal.top("b").epoch

    sweep(journal, 10)

    assert journal.channels == {}
    assert journal.top("quiet") == quiet
    assert journal.missed(parse_pattern("quiet"), quiet) == []
    assert fill(journal, "b")[0].position == Position(quiet.epoch, 1)


def test_above_their_number_the_longest_unpublished_channel_is_forgotten() -> None:
    journal = make_journal(max_channels=2)
    before = fill(journal, "aba")
    fill(journal, "c")

    assert list(journal.channels) == ["a", "c"]
    assert journal.missed(parse_pattern("b"), before[1].position) is None
    assert journal.missed(A, before[0].position) == [before[2]]
    assert journal.missed(ALL, Position(journal.epoch, 1)) is None
    assert journal.take_dropped() == ({2: "b"}, ["b"])
    assert journal.size_bytes == size_of(journal._order.values())


def test_a_channel_that_is_forgotten_under_its_own_batch_goes_on_with_a_loss() -> None:
    """Its next offset was given before a new channel pushed it out: subscribers hold that position."""
    journal = make_journal(max_channels=1)
    first = fill(journal, "aa")[1]
    last = Entry(4, "a", Position(first.position.epoch, 3), 0.0, b"", "id")
    fill(journal, "b")
    journal.append(last)

    assert journal.missed(A, first.position) == [last]
    assert journal.missed(A, Position(first.position.epoch, 1)) is None
    assert journal.missed(ALL, Position(journal.epoch, 1)) is None


def test_a_sweep_looks_at_a_bounded_number_of_channels() -> None:
    journal = make_journal(ttl_s=1, channel_ttl_s=1, max_channels=5000)
    for number in range(5000):
        add_to_journal(journal, str(number))

    counts = []
    while journal.channels:
        journal.sweep(10)
        counts.append(len(journal.channels))

    assert all(before - after <= 2000 for before, after in zip([5000, *counts], counts, strict=False))
    assert len(counts) <= 6


def test_a_channel_that_came_while_the_sweep_was_under_way_is_looked_at_later() -> None:
    journal = make_journal(ttl_s=1, channel_ttl_s=1)
    fill(journal, "ab")
    journal.sweep(0)
    fill(journal, "c")
    del journal.channels["a"]  # as _forget does, between two sweeps

    sweep(journal, 10)
    sweep(journal, 10)

    assert journal.channels == {}


def test_what_was_dropped_is_handed_over_once() -> None:
    journal = make_journal(size=1, ttl_s=10, channel_ttl_s=10)
    fill(journal, "aab", at=0)
    fill(journal, "c", at=100)
    sweep(journal, 50)
    fill(journal, "b", at=100)  # b lives again before anybody asks: it must not be deleted

    assert journal.take_dropped() == ({1: "a", 2: "a", 3: "b"}, ["a"])
    assert journal.take_dropped() == ({}, [])


# ── idempotency ──


def test_an_id_is_known_within_its_window_in_its_channel() -> None:
    journal = make_journal(idempotency_window_s=300)
    entry = add_to_journal(journal, "a", at=1000, message_id="order-17")

    seen = Published("order-17", entry.position, repeated=True)
    assert journal.seen("a", "order-17", 1000) == seen
    assert journal.seen("a", "order-17", 1299.9) == seen
    assert journal.seen("a", "order-17", 1300) is None
    assert journal.seen("b", "order-17", 1000) is None
    assert journal.seen("a", "order-18", 1000) is None


def test_an_id_outlives_its_publication() -> None:
    journal = make_journal(size=0, idempotency_window_s=300)
    entry = add_to_journal(journal, "a", at=1000, message_id="x")

    assert journal.seen("a", "x", 1001) == Published("x", entry.position, repeated=True)


def test_an_id_that_the_server_made_is_not_remembered() -> None:
    journal = make_journal()
    add_to_journal(journal, "a", at=1000)

    assert journal.seen("a", "id", 1000) is None
    assert journal._seen == {}


def test_ids_older_than_the_window_take_no_memory() -> None:
    journal = make_journal(idempotency_window_s=10)
    for second in range(100):
        add_to_journal(journal, "a", at=second, message_id=f"id-{second % 50}")  # half of them come again, later

    assert len(journal._seen) <= 11


def test_above_their_number_the_oldest_ids_are_forgotten() -> None:
    journal = make_journal(idempotency_max_ids=2)
    for name in "xyz":
        add_to_journal(journal, "a", at=0, message_id=name)

    assert [journal.seen("a", name, 0) is not None for name in "xyz"] == [False, True, True]


# ── bytes and order, for any sequence ──


@PROPERTY
@given(st.text("abc", max_size=40), st.integers(0, 5), st.integers(0, 8))
def test_the_books_balance_after_any_sequence(channels: str, size: int, kept: int) -> None:
    one = size_of([add_to_journal(make_journal(), "a")])
    journal = make_journal(size=size, max_bytes=kept * one)
    entries = fill(journal, channels)

    held = [entry for log in journal.channels.values() for entry in log.entries]
    assert journal.size_bytes == size_of(held) <= kept * one
    assert sorted(entry.seq for entry in held) == list(journal._order)
    assert set(journal.evicted) == {entry.seq for entry in entries} - {entry.seq for entry in held}
    for log in journal.channels.values():
        offsets = [entry.position.offset for entry in log.entries]
        assert offsets == list(range(log.top - len(offsets) + 1, log.top + 1))
        assert len(offsets) <= size
