"""Recovery against a simple model, in any order of events: never a silent gap, never twice, never out of order.

The model is a list of everything that was accepted, and what each client has been promised of it.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from apex_rtm.channels import parse_pattern
from apex_rtm.message import Published
from tests.support.core import Client, Core, make_message
from tests.support.engines import Engines, Kind, tidy
from tests.support.fault import Disk
from tests.support.property import PROPERTY

CHANNELS = ("a:1", "a:2", "b:1", "c")
# Exact names and prefixes alone, together, and in the order that clients are advised against.
WISHES = (("a:1",), ("a:*",), ("a:1", "b:1", "a:*"), ("*", "b:1"), ("a:1", "a:2", "b:*", "*"))
# So little is kept that a few steps push something out: by number, by bytes, by channels or, when time passes, by age.
LIMITS: tuple[dict[str, int], ...] = (
    {"size": 3},
    {"max_bytes": 5500},
    {"max_channels": 3},
    {"size": 2, "max_channels": 3},
    {},
)

channels = st.sampled_from(CHANNELS)
who = st.integers(0, len(WISHES) - 1)
rooms = st.none() | st.integers(1, 4)
some = st.integers(0, 8)
some_runs = st.lists(st.tuples(channels, st.integers(1, 4)), max_size=4)


@dataclass
class Page:
    """A browser's page: what it asks for, what it has handled, and from where on it was promised everything."""

    wishes: tuple[str, ...]
    client: Client | None = None
    to_say: list[dict[str, Any]] = field(default_factory=list)
    since: dict[str, dict[str, Any]] = field(default_factory=dict)
    promised_from: dict[str, int] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    handled: list[tuple[str, int]] = field(default_factory=list)

    def handle(self, frame: dict[str, Any], accepted: int) -> None:
        """Do what docs/protocol.md asks of a client with one frame. `accepted` is how many there have been so far."""
        channel, position = frame["channel"], {"epoch": frame["epoch"], "offset": frame["offset"]}
        if frame.get("type") == "subscribed":
            self.answered.add(channel)
            assert not (frame["recovered"] and channel not in self.since), "recovered without a position"
            if not frame["recovered"]:
                self.promised_from[channel] = frame["accepted"]
            self.since[channel] = position
            return
        assert "type" not in frame, frame
        number = frame["payload"]
        assert (channel, number) not in self.handled, f"{channel} {number} came twice"
        before = [other for name, other in self.handled if name == channel]
        assert not before or number > before[-1], f"{channel} {number} came after {before[-1]}"
        assert number < accepted
        self.handled.append((channel, number))
        for name in self.answered:  # before its answer nothing comes through a subscription
            if name == channel:
                self.since[name] = position
            elif parse_pattern(name).matches(channel):
                self.since[name] = {**position, "channel": channel}


class Recovery(RuleBasedStateMachine):
    kind: Kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.patch = pytest.MonkeyPatch()
        self.directory = tempfile.TemporaryDirectory()
        self.disk = Disk(durable=False)
        self.disk.install(self.patch)
        self.engines = Engines(self.kind, Path(self.directory.name))
        self.pages = [Page(wishes) for wishes in WISHES]
        self.accepted: list[str] = []

    def teardown(self) -> None:
        self.runner.run(self.engines.stop())
        self.runner.close()
        self.patch.undo()
        self.directory.cleanup()

    @initialize(limits=st.sampled_from(LIMITS))
    def begin(self, limits: dict[str, int]) -> None:
        self.limits = limits
        self.start(come_back=True)

    def start(self, *, come_back: bool) -> None:
        self.engine = self.runner.run(self.engines.start(**self.limits, ttl_s=50, channel_ttl_s=100))
        self.core = Core(engine=self.engine, clock=self.engines.clock)
        # The engine was started with a listener of the tests; the hub takes its place.
        self.engines.listener.on_published = self.core.hub.on_published  # type: ignore[method-assign]
        for page in self.pages if come_back else ():
            self.connect(page, None)

    # ── what the server goes through ──

    @rule(runs=some_runs)
    def publish(self, runs: list[tuple[str, int]]) -> None:
        names = [name for name, count in runs for _ in range(count)]
        messages = [make_message(name, len(self.accepted) + place) for place, name in enumerate(names)]
        results = self.runner.run(self.engine.publish(messages))
        assert all(isinstance(result, Published) for result in results)
        self.accepted += names
        self.settle()

    @rule(name=channels, disk_is_full=st.booleans())
    def publish_with_an_id(self, name: str, disk_is_full: bool) -> None:
        message = make_message(name, len(self.accepted), message_id=f"id-{len(self.accepted)}")
        with self.disk.failing("commit") if disk_is_full else nullcontext():
            (first,) = self.runner.run(self.engine.publish([message]))
        (second,) = self.runner.run(self.engine.publish([message]))
        assert isinstance(second, Published)
        assert second.repeated == isinstance(first, Published)
        self.accepted.append(name)
        self.settle()

    @rule(seconds=st.sampled_from([10, 51, 101]), disk_is_full=st.booleans())
    def grow_old(self, seconds: int, disk_is_full: bool) -> None:
        self.engines.clock.advance(seconds)
        with self.disk.failing("delete from publication") if disk_is_full else nullcontext():
            self.runner.run(tidy(self.engine))

    @rule(handled=some, crash=st.booleans(), come_back=st.booleans())
    def restart(self, handled: int, crash: bool, come_back: bool) -> None:
        for page in self.pages:
            self.cut(page, handled)
        self.runner.run(self.engines.crash() if crash else self.engines.stop())
        self.start(come_back=come_back)

    # ── what the pages go through ──

    @rule(number=who, handled=some)
    def leave(self, number: int, handled: int) -> None:
        self.cut(self.pages[number], handled)

    @rule(number=who, handled=some, meanwhile=some_runs, room=rooms)
    def come_back(self, number: int, handled: int, meanwhile: list[tuple[str, int]], room: int | None) -> None:
        self.cut(self.pages[number], handled)
        self.publish(meanwhile)
        self.connect(self.pages[number], room)

    @rule(number=who, room=rooms)
    def read_on(self, number: int, room: int | None) -> None:
        client = self.pages[number].client
        if client is not None:
            client.read_on(room)
            self.settle()

    # ── how it is done ──

    def settle(self) -> None:
        """Let every page say what it wants to, for as long as the server takes it."""
        for page in self.pages:
            client = page.client
            while client is not None and page.to_say and not client.session.is_busy and not client.session.ended:
                arrived = len(client.peer.frames)
                client.say(**page.to_say.pop(0))
                # From this moment on the answer promises everything.
                client.peer.frames[arrived]["accepted"] = len(self.accepted)

    def handle(self, page: Page, count: int | None = None) -> None:
        if page.client is None:
            return
        frames = page.client.peer.frames
        for frame in frames[:count]:
            page.handle(frame, len(self.accepted))
        del frames[:count]

    def connect(self, page: Page, room: int | None) -> None:
        page.client, page.answered = self.core.open(), set()
        page.client.peer.room = room
        page.to_say = [{"type": "subscribe", "channel": name, "since": page.since.get(name)} for name in page.wishes]
        self.settle()

    def cut(self, page: Page, handled: int) -> None:
        """What arrived and was not handled is lost, as in a browser that is closed."""
        if page.client is None:
            return
        self.handle(page, handled)
        page.client.session.on_closed()
        page.client = None

    @invariant()
    def whoever_has_read_everything_has_missed_nothing(self) -> None:
        for page in self.pages:
            client = page.client
            if client is None or client.peer.room is not None or client.session.ended or page.to_say:
                continue
            assert not client.session.is_busy
            self.handle(page)
            for name in page.wishes:
                pattern = parse_pattern(name)
                wanted = [
                    (channel, number)
                    for number, channel in enumerate(self.accepted)
                    if number >= page.promised_from[name] and pattern.matches(channel)
                ]
                missing = [one for one in wanted if one not in page.handled]
                assert not missing, f"{page.wishes}: {missing} of {name} are missing, and nobody said so"


class RecoveryInMemory(Recovery):
    kind: Kind = "memory"


@pytest.mark.timeout(180)  # each step of the one with SQLite waits for the disk
@pytest.mark.parametrize(("machine", "examples"), [(Recovery, 15), (RecoveryInMemory, 60)], ids=["sqlite", "memory"])
def test_no_order_of_events_leads_to_a_silent_gap(machine: type[Recovery], examples: int) -> None:
    run_state_machine_as_test(machine, settings=settings(PROPERTY, max_examples=examples, stateful_step_count=40))
