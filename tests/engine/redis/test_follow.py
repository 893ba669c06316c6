"""Following a channel whose announcements are late, early, doubled or lost; Redis is what the test says it is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from apex_rtm.channels import Pattern, parse_pattern
from apex_rtm.engine.journal import Entry
from apex_rtm.engine.redis.follow import WHOLE, Followed, Follower, State, Waiter, to_entry
from apex_rtm.engine.redis.layout import NO_LINK, Publication
from apex_rtm.errors import Unavailable
from apex_rtm.message import Position
from tests.support.core import make_journal


def pub(offset: int, epoch: str = "E", link: Position = NO_LINK, at: float = 100.0, name: str = "") -> Publication:
    return Publication("a", Position(epoch, offset), name or f"{epoch}{offset}", at, b"{}", offset, link)


def state(top: int, *offsets: int, epoch: str = "E", link: Position = NO_LINK, at: float = 100.0) -> State:
    entries = [pub(offset, epoch, at=at) for offset in offsets]
    return State(Position(epoch, top), f"{epoch}{top}" if top else "", link, entries, top)


class Node:
    """A follower of channel a, what it delivered and what it asked for."""

    def __init__(self, *, size: int = 100, ttl_s: float = 1000) -> None:
        self.journal = make_journal(size=size, ttl_s=ttl_s)
        self.delivered: list[int] = []
        self.gone: list[str] = []
        self.reads = 0
        self.told: list[Unavailable | None] = []
        self.follower = Follower(self.journal, self.journal._retention, self, lambda: 100.0)
        self.a = self.follower.channels["a"] = Followed("a", 0)

    def deliver(self, publications: Sequence[Publication]) -> None:
        for publication in publications:
            entry: Entry = to_entry(publication)
            entry.seq = self.journal.seq + 1
            if self.journal.top("a") != (entry.position.epoch, entry.position.offset - 1):
                self.journal.forget("a")
            self.journal.append(entry)
            self.delivered.append(entry.position.offset)

    def lost(self, channel: str) -> None:
        self.gone.append(channel)

    def read(self, followed: Followed) -> None:
        self.reads += 1

    def wait(self, since: Position | None) -> None:
        self.a.waiting.append(Waiter(since, self.told.append, 10.0))

    def at(self, top: int, *offsets: int, since: Position | None = None) -> Node:
        """Read for the first time."""
        self.follower.on_state(self.a, since, state(top, *offsets))
        self.reads = 0
        return self

    def take(self, *publications: Publication, own: bool = False) -> None:
        for publication in publications:
            self.follower.take(self.a, publication, own=own)

    @property
    def kept(self) -> list[int]:
        return [entry.position.offset for entry in self.journal.channels["a"].entries]


def test_what_comes_in_order_is_delivered_and_what_is_known_is_not() -> None:
    node = Node().at(3)

    node.take(pub(4), pub(4), pub(3), pub(5))

    assert node.delivered == [4, 5]
    assert node.journal.top("a") == ("E", 5)
    assert (node.reads, node.gone) == (0, [])


def test_a_hole_is_read_and_what_follows_waits_for_it() -> None:
    node = Node().at(3)
    node.take(pub(5), pub(6))
    assert (node.delivered, node.reads) == ([], 2)

    node.follower.on_state(node.a, None, state(5, 4, 5))

    assert node.delivered == [4, 5, 6]
    assert node.gone == []


def test_an_answer_that_overtakes_waits_for_the_announcements() -> None:
    node = Node().at(3)

    node.take(pub(5), own=True)
    assert (node.delivered, node.reads) == ([], 0)
    node.take(pub(4))

    assert node.delivered == [4, 5]


def test_a_hole_that_redis_no_longer_has_sends_everybody_away() -> None:
    node = Node().at(3)
    node.take(pub(9))

    node.follower.on_state(node.a, None, state(9, 8, 9))

    assert (node.delivered, node.gone) == ([], ["a"])
    assert node.journal.top("a") == ("E", 9)
    node.take(pub(10))
    assert node.delivered == [10]


def test_a_hole_in_a_log_that_keeps_nothing_sends_everybody_away() -> None:
    node = Node(size=0).at(3)
    node.take(pub(5))

    node.follower.on_state(node.a, None, state(5))

    assert (node.delivered, node.gone) == ([], ["a"])


def test_reading_goes_on_until_everything_is_here() -> None:
    node = Node().at(0)
    node.take(pub(7))

    node.follower.on_state(node.a, None, state(7, 1, 2, 3))
    assert (node.delivered, node.reads) == ([1, 2, 3], 2)
    node.follower.on_state(node.a, None, state(7, 4, 5, 6, 7))

    assert node.delivered == [1, 2, 3, 4, 5, 6, 7]
    assert node.gone == []


def test_a_new_epoch_without_a_link_is_decided_by_reading_and_sends_away() -> None:
    node = Node().at(3)
    node.take(pub(1, "F"))
    assert (node.delivered, node.reads) == ([], 1)

    node.follower.on_state(node.a, None, state(1, epoch="F"))

    assert node.gone == ["a"]
    assert node.journal.top("a") == ("F", 1)


def test_a_new_epoch_that_goes_on_from_here_is_delivered() -> None:
    node = Node().at(3)

    node.take(pub(1, "F", link=Position("E", 3)), pub(2, "F"))

    assert (node.delivered, node.gone, node.reads) == ([1, 2], [], 0)
    assert node.kept == [1, 2]


def test_a_link_from_further_on_is_not_trusted() -> None:
    node = Node().at(3)

    node.take(pub(1, "F", link=Position("E", 4)))
    assert (node.delivered, node.reads) == ([], 1)
    node.follower.on_state(node.a, None, state(1, epoch="F", link=Position("E", 4)))

    assert node.gone == ["a"]


def test_a_link_that_is_found_by_reading_is_followed() -> None:
    node = Node().at(3)

    node.follower.on_state(node.a, None, state(2, epoch="F", link=Position("E", 3)))
    assert (node.gone, node.reads) == ([], 1)
    node.follower.on_state(node.a, None, state(2, 1, 2, epoch="F", link=Position("E", 3)))

    assert (node.delivered, node.gone) == ([1, 2], [])


def test_an_offset_that_was_given_twice_is_noticed() -> None:
    node = Node().at(3)
    node.take(pub(4), pub(5))

    node.take(pub(4, name="another"))

    assert node.reads == 1
    assert node.a.last_id != "E5", "the reading must find a difference, whatever Redis has now"


# ── the first reading ──


def test_the_first_reading_fills_the_journal_without_delivering() -> None:
    node = Node()
    node.wait(Position("E", 2))
    node.take(pub(5), pub(6))

    node.follower.on_state(node.a, Position("E", 2), state(5, 3, 4, 5))

    assert (node.delivered, node.kept, node.told) == ([], [3, 4, 5, 6], [None])
    assert node.journal.top("a") == ("E", 6)
    assert all(entry.seq < 0 for entry in node.journal.channels["a"].entries), "no wildcard of this node has seen them"
    assert node.journal.seq == 0


def test_the_first_reading_goes_on_until_the_top_that_it_saw() -> None:
    node = Node()
    node.wait(Position("E", 0))

    node.follower.on_state(node.a, Position("E", 0), state(4, 1, 2))
    assert (node.told, node.reads) == ([], 1)
    node.follower.on_state(node.a, Position("E", 2), state(9, 3, 4, 5, 6, 7, 8, 9))

    assert node.told == [None]
    assert node.kept == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_what_retention_took_while_it_was_read_is_admitted() -> None:
    node = Node()
    node.wait(Position("E", 0))
    node.follower.on_state(node.a, Position("E", 0), state(4, 1, 2))

    node.follower.on_state(node.a, Position("E", 2), state(40, 35, 36))

    assert node.kept == []
    assert node.journal.top("a").offset == 4


@pytest.mark.parametrize("since", [Position("old", 2), Position("E", 99), None])
def test_who_cannot_be_served_does_not_wait(since: Position | None) -> None:
    node = Node()
    node.wait(since)

    node.follower.on_state(node.a, since, state(5))

    assert (node.told, node.kept) == ([None], [])
    assert node.journal.top("a") == ("E", 5)


def test_what_is_past_its_age_is_not_brought_back() -> None:
    node = Node(ttl_s=10)
    node.wait(WHOLE)
    old, young = pub(1, at=50.0), pub(2, at=95.0)

    node.follower.on_state(node.a, WHOLE, state(2)._replace(entries=[old, young]))

    assert (node.told, node.kept) == ([None], [2])


# ── those who come later and were away for longer ──


def test_older_publications_are_read_for_who_wants_them() -> None:
    node = Node().at(5)
    node.take(pub(6))
    node.wait(Position("E", 2))
    node.follower.answer(node.a)
    assert (node.told, node.reads) == ([], 1)
    log = node.journal.channels["a"]
    wanted = node.follower.missing(node.a, log, Position("E", 2))
    assert wanted == range(3, 6)

    node.follower.on_older(node.a, wanted, state(6, 3, 4, 5))

    assert (node.told, node.kept) == ([None], [3, 4, 5, 6])
    assert node.journal.missed(_pattern(), Position("E", 2)) is not None


def test_older_publications_that_redis_has_not_are_not_asked_for_again() -> None:
    node = Node().at(5)
    node.wait(Position("E", 1))
    wanted = node.follower.missing(node.a, node.journal.channels["a"], Position("E", 1))

    node.follower.on_older(node.a, wanted, state(5, 4, 5))

    assert (node.told, node.kept) == ([None], [4, 5])
    assert node.journal.missed(_pattern(), Position("E", 1)) is None
    assert node.follower.covers(node.a, Position("E", 1))


def test_who_waits_too_long_is_told_why() -> None:
    node = Node()
    node.wait(None)

    node.follower.give_up_waiting(node.a, 9.9, "too late")
    assert node.told == []
    node.follower.give_up_waiting(node.a, 10.0, "too late")

    (trouble,) = node.told
    assert trouble is not None
    assert str(trouble) == "too late"
    assert node.a.waiting == []


def _pattern() -> Pattern:
    return parse_pattern("a")
