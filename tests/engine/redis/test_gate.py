"""Wildcards on several nodes: each publication once, in the order of its partition, or a word that some are missing."""

from __future__ import annotations

from collections.abc import Sequence

from apex_rtm.engine.redis.follow import Followed, Follower
from apex_rtm.engine.redis.gate import Gate
from apex_rtm.engine.redis.layout import Publication
from apex_rtm.message import Position
from tests.support.core import make_journal


def pub(seq: int, channel: str = "a", offset: int = 1) -> Publication:
    return Publication(channel, Position("E", offset), f"{seq}", 0.0, b"{}", seq)


class Node:
    """A gate of two partitions; `wild` is what went to wildcards only, `both` what the follower delivered."""

    def __init__(self) -> None:
        self.wild: list[int] = []
        self.both: list[int] = []
        self.losses = 0
        journal = make_journal()
        self.follower = Follower(journal, journal._retention, self, lambda: 0.0)
        self.gate = Gate(2, self.follower, lambda publication: self.wild.append(publication.seq), self._lost)

    def _lost(self) -> None:
        self.losses += 1

    def deliver(self, publications: Sequence[Publication]) -> None:
        self.both += [publication.seq for publication in publications]

    def lost(self, channel: str) -> None:
        raise AssertionError(channel)

    def read(self, followed: Followed) -> None:
        pass

    def follow(self, channel: str, offset: int = 0) -> Followed:
        found = self.follower.channels[channel] = Followed(channel, 0)
        found.position = Position("E", offset)
        return found


def test_without_wildcards_only_what_is_followed_passes() -> None:
    node = Node()
    node.follow("a")

    node.gate.take(0, pub(7), own=False)
    node.gate.take(0, pub(8, "b"), own=False)

    assert (node.both, node.wild, node.losses) == ([7], [], 0)


def test_each_passes_once_whoever_brings_it() -> None:
    node = Node()
    node.gate.open(0, 10)

    for own in (True, False, False):
        node.gate.take(0, pub(11), own=own)
    node.gate.take(0, pub(12, "b"), own=False)
    node.gate.take(0, pub(10, "c"), own=False)

    assert (node.wild, node.losses) == ([11, 12], 0)


def test_a_number_that_is_left_out_is_a_loss_but_not_in_an_answer() -> None:
    node = Node()
    node.gate.open(0, 10)

    node.gate.take(0, pub(12), own=True)
    assert (node.wild, node.losses) == ([], 0)
    node.gate.take(0, pub(11, "b"), own=False)
    node.gate.take(0, pub(12), own=False)
    assert (node.wild, node.losses) == ([11, 12], 0)
    node.gate.take(0, pub(14), own=False)

    assert (node.wild, node.losses) == ([11, 12, 14], 1)


def test_a_followed_channel_is_delivered_by_the_follower() -> None:
    node = Node()
    node.follow("a")
    node.gate.open(0, 10)

    for _ in range(2):  # its own topic, and that of the partition
        node.gate.take(0, pub(11), own=False)

    assert (node.both, node.wild) == ([11], [])


def test_a_channel_that_is_being_read_goes_to_wildcards_meanwhile() -> None:
    node = Node()
    found = node.follower.channels["a"] = Followed("a", 0)
    node.gate.open(0, 10)

    node.gate.take(0, pub(11), own=False)
    node.gate.take(0, pub(11), own=False)

    assert node.wild == [11]
    assert [publication.seq for publication in found.early] == [11, 11]


def test_what_was_read_waits_until_wildcards_have_it() -> None:
    node = Node()
    calls: list[str] = []
    node.gate.when(0, 99, lambda: calls.append("no wildcards"))
    node.gate.open(0, 10)

    node.gate.when(0, 10, lambda: calls.append("has it"))
    node.gate.when(0, 12, lambda: calls.append("waited"))
    node.gate.take(0, pub(11), own=False)
    assert calls == ["no wildcards", "has it"]
    node.gate.take(0, pub(12), own=False)
    assert calls == ["no wildcards", "has it", "waited"]

    node.gate.when(0, 20, lambda: calls.append("released"))
    node.gate.close(0)
    assert calls[-1] == "released"


def test_what_arrived_before_the_number_was_read_counts() -> None:
    node = Node()
    node.gate.take(0, pub(13), own=False)

    node.gate.open(0, 12)
    node.gate.take(0, pub(14), own=False)

    assert (node.wild, node.losses) == ([14], 0)


def test_an_audit_finds_what_was_never_announced() -> None:
    node = Node()
    node.gate.open(0, 10)
    node.gate.audit(0, 12)  # 11 and 12 may be on their way
    assert node.losses == 0

    node.gate.audit(0, 12)
    assert node.losses == 1
    node.gate.take(0, pub(13), own=False)
    assert (node.wild, node.losses) == ([13], 1)


def test_an_audit_finds_a_server_that_was_emptied() -> None:
    node = Node()
    node.gate.open(0, 10)
    node.gate.audit(0, 10)

    node.gate.audit(0, 1)

    assert node.losses == 1
    node.gate.take(0, pub(2), own=False)
    assert node.wild == [2]


def test_partitions_are_counted_apart() -> None:
    node = Node()
    node.gate.open(0, 10)
    node.gate.open(1, 500)

    node.gate.take(1, pub(501), own=False)
    node.gate.take(0, pub(11, "b"), own=False)

    assert (node.wild, node.losses) == ([501, 11], 0)
    node.gate.audit(1, 700)
    node.gate.close(1)
    node.gate.audit(1, 700)
    assert (node.losses, node.gate.is_open(0), node.gate.is_open(1)) == (0, True, False)
