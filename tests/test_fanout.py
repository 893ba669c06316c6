"""From the log to the subscribers: at once while it is quiet, together while it is not, and never out of order."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest

from apex_rtm import codes
from apex_rtm.channels import parse_pattern
from apex_rtm.counts import Counts
from apex_rtm.engine.journal import Entry
from apex_rtm.fanout import MAX_WAIT_S, Fanout, write_each
from apex_rtm.registry import Registry
from apex_rtm.session import Session
from tests.support.clock import FakeClock
from tests.support.core import Core, add_to_journal, make_journal


class Bench:
    """A fan-out whose writes take as long as the test says."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = Registry()
        self.journal = make_journal()
        self.write_takes_s = 0.0
        self.writes: list[tuple[list[str], list[int]]] = []
        self.timers: list[float] = []
        self.fanout = Fanout(self.registry, Counts(), self.clock.monotonic, self._later, self._write)
        self.names: dict[Session, str] = {}
        self.core = Core()

    def _later(self, delay_s: float, _work: object) -> None:
        self.timers.append(delay_s)

    def _write(self, sessions: Collection[Session], entries: Sequence[Entry]) -> None:
        self.clock.advance(self.write_takes_s)
        self.writes.append((sorted(self.names[session] for session in sessions), [entry.seq for entry in entries]))

    def follow(self, name: str, *patterns: str) -> None:
        session = Session(self.core.around, self.core.open().peer)
        self.names[session] = name
        for pattern in patterns:
            self.registry.add(parse_pattern(pattern), session)

    def publish(self, *channels: str) -> None:
        self.fanout.add([add_to_journal(self.journal, channel) for channel in channels])

    def take(self) -> list[tuple[list[str], list[int]]]:
        taken, self.writes = self.writes, []
        return taken


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_publication_by_itself_is_written_at_once(bench: Bench) -> None:
    bench.follow("one", "a")
    bench.write_takes_s = 0.004

    for _ in range(3):
        bench.publish("a")
        bench.clock.advance(0.002)  # idle for half as long as the write took: nobody was waiting

    assert bench.take() == [(["one"], [1]), (["one"], [2]), (["one"], [3])]
    assert bench.timers == []


def test_what_follows_closely_travels_with_all_that_the_same_turn_of_the_loop_brings(bench: Bench) -> None:
    bench.follow("one", "a")
    bench.write_takes_s = 0.004
    bench.publish("a")

    for _ in range(3):
        bench.clock.advance(0.0001)
        bench.publish("a")

    assert bench.take() == [(["one"], [1])]
    assert bench.timers == [0.0]
    bench.fanout._on_time()
    assert bench.take() == [(["one"], [2, 3, 4])]
    assert (bench.fanout.counts.deliveries, bench.fanout.counts.fanout.count) == (4, 2)
    assert bench.fanout.counts.fanout.sum_s == pytest.approx(0.008)


def one_after_the_other(bench: Bench, turns: int, each: int = 1) -> list[float]:
    """Publish right behind every flush, `each` requests a turn; return how long each turn waited."""
    before = len(bench.timers)
    for _ in range(turns):
        for _ in range(each):
            bench.publish("a")
        bench.fanout._on_time()
    return bench.timers[before:]


@pytest.mark.parametrize(("write_takes_s", "wait_s"), [(0.003, 0.003), (1.0, MAX_WAIT_S)])
def test_who_publishes_one_after_the_other_is_waited_for_as_long_as_a_flush_takes(
    bench: Bench, write_takes_s: float, wait_s: float
) -> None:
    bench.follow("one", "a")
    bench.write_takes_s = write_takes_s
    bench.publish("a")

    assert one_after_the_other(bench, 4) == [0.0] * 4
    assert one_after_the_other(bench, 3, each=20) == [pytest.approx(wait_s)] * 3


def test_waiting_ends_where_it_gathers_hardly_more(bench: Bench) -> None:
    """A hundred publications a second at a server that is only just fast enough: waiting would delay each of them."""
    bench.follow("one", "a")
    bench.write_takes_s = 1.0
    bench.publish("a")

    assert one_after_the_other(bench, 6) == [0.0] * 4 + [MAX_WAIT_S, 0.0]


def test_where_many_come_at_once_nobody_waits(bench: Bench) -> None:
    bench.follow("one", "a")
    bench.write_takes_s = 1.0
    bench.publish("a")

    assert one_after_the_other(bench, 10, each=32) == [0.0] * 10
    assert one_after_the_other(bench, 3) == [0.0] * 3
    bench.clock.advance(1)
    bench.publish("a")  # after a pause the count begins anew
    assert one_after_the_other(bench, 5) == [0.0] * 4 + [MAX_WAIT_S]


def test_what_waits_is_bounded_in_number_and_size(bench: Bench) -> None:
    bench.follow("one", "a")
    bench.write_takes_s = 1.0
    bench.publish("a")
    bench.take()

    bench.publish("a")
    for _ in range(300):
        bench.publish("a")

    (together, *_rest) = bench.take()
    assert together == (["one"], list(range(2, 258)))


def test_a_fast_write_makes_nobody_wait(bench: Bench) -> None:
    bench.follow("one", "a")
    bench.publish("a")
    bench.publish("a")

    assert bench.take() == [(["one"], [1]), (["one"], [2])]


def test_each_channel_is_written_once_where_everybody_named_theirs(bench: Bench) -> None:
    bench.follow("one", "a", "b")
    bench.follow("two", "a")

    bench.publish("a", "b", "a", "nobody")

    assert bench.take() == [(["one", "two"], [1, 3]), (["one"], [2])]


def test_a_wildcard_gets_all_channels_in_journal_order(bench: Bench) -> None:
    """Its position is that of the last publication it brought: after a, a, b a cut would skip the b in between."""
    bench.follow("wide", "*")
    bench.follow("wide too", "*", "a")
    bench.follow("narrow", "a")

    bench.publish("a", "b", "a")

    assert sorted(bench.take()) == [(["narrow"], [1, 3]), (["wide", "wide too"], [1, 2, 3])]


def test_one_channel_is_written_in_one_go_beside_wildcards_too(bench: Bench) -> None:
    bench.follow("wide", "*")
    bench.follow("narrow", "a")

    bench.publish("a", "a")

    assert bench.take() == [(["narrow", "wide"], [1, 2])]


async def test_who_subscribes_while_publications_wait_gets_none_of_them_twice() -> None:
    core = await Core().start()
    early, late, gone = core.open(), core.open(), core.open()
    early.subscribe("a")
    gone.subscribe("a")
    _make_wait(core)
    await core.publish("a")
    assert early.peer.take_places() == []

    gone.say(type="unsubscribe", channel="a")
    assert [frame.get("offset") for frame in gone.peer.take()] == [1, None]
    _make_wait(core)
    await core.publish("a")
    late.say(type="subscribe", channel="a")
    await core.publish("a")
    core.fanout.flush()

    assert [frame["offset"] for frame in late.peer.take()] == [2, 3]
    assert early.peer.take_places() == [("a", 1), ("a", 2), ("a", 3)]


@pytest.mark.parametrize("since", [None, {"epoch": "e", "offset": 0}])
async def test_who_is_ended_by_what_waited_leaves_nothing_behind(since: dict[str, object] | None) -> None:
    """A peer that does not read ends when its next subscription has the waiting publications written."""
    core = await Core().start()
    client = core.open()
    client.subscribe("a")
    _make_wait(core)
    await core.publish("a")
    client.peer.room, client.peer.on_full = 1, client.session.on_stalled

    client.say(type="subscribe", channel="chat:b", presence=True, since=since)

    assert client.peer.close_code == 4002
    assert list(core.hub.registry.channels()) == []
    assert "chat:b" not in core.hub.presence._channels
    assert core.hub.sessions == {}


async def test_a_replay_begins_behind_what_waits() -> None:
    core = await Core().start()
    client = core.open()
    client.subscribe("a")
    first = await core.publish("b")
    _make_wait(core)
    await core.publish("a")
    await core.publish("b")
    client.peer.take()

    since = {"channel": "b", "epoch": first.position.epoch, "offset": 1}
    client.say(type="subscribe", channel="*", since=since)
    core.fanout.flush()

    frames = client.peer.take()
    assert [(f["channel"], f["offset"]) for f in frames if "type" not in f] == [("a", 1), ("b", 2)]


async def test_an_end_comes_after_what_was_published_before_it() -> None:
    core = await Core(secured=True).start()
    client = core.connect("SCOTT", "a")
    client.subscribe("a")
    _make_wait(core)
    await core.publish("a")

    client.session.end(codes.REVOKED, "revoked", "x")

    assert [frame.get("offset", frame.get("code")) for frame in client.peer.take()] == [1, "revoked"]


async def test_an_old_listener_that_ends_by_what_waited_ends_like_anybody() -> None:
    core = await Core().start()
    client = core.open(old_listener=["a", "b"])
    _make_wait(core)
    await core.publish("a")
    client.overflows_after(1)

    client.say(type="ping")

    assert client.peer.close_code == 4002
    assert core.hub.registry.count == 0


def _make_wait(core: Core) -> None:
    """As after a flush that took long."""
    core.fanout._took_s, core.fanout._ended_at = 1.0, core.clock.monotonic()


def test_without_a_faster_way_each_gets_each_frame() -> None:
    core = Core()
    clients = [core.open(), core.open()]
    entries = [add_to_journal(core.journal, "a"), add_to_journal(core.journal, "a")]

    write_each([client.session for client in clients], entries)

    assert [client.peer.take_places() for client in clients] == [[("a", 1), ("a", 2)]] * 2
