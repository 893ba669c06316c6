"""What a node follows, and how it notices that something is missing. Sans-I/O: it is told what Redis says.

A channel that somebody on this node subscribed to has a `Followed`. Announcements move its position on by one; whatever
does not fit is held back until the log in Redis was read, and that reading alone decides what is true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from apex_rtm.engine.journal import ChannelLog, Entry, Journal, Retention
from apex_rtm.engine.redis.layout import Publication
from apex_rtm.errors import Unavailable
from apex_rtm.message import Position
from apex_rtm.protocol import frame

WHOLE: Final = Position("*", 0)  # as `since`: everything that is kept
NOWHERE: Final = Position("", -1)  # of a channel that was not read yet
_MOST_HELD: Final = 1000  # publications behind a hole or a reading; the reading finds the others

Then = Callable[[Unavailable | None], None]


class Waiter(NamedTuple):
    """Somebody who wants the journal to cover what came after `since`; told by `then`, at `deadline` at the latest."""

    since: Position | None
    then: Then
    deadline: float


class State(NamedTuple):
    """What reading a channel in Redis gave: `entries` in order, as many as were asked for; `seq` of its partition."""

    position: Position
    last_id: str
    link: Position
    entries: list[Publication]
    seq: int


class Followed:
    """One channel. `position` is NOWHERE until it was read for the first time: then what arrives is kept in `early`."""

    __slots__ = ("bottom", "channel", "early", "interest", "last_id", "late", "partition", "position", "read_at",
                 "target", "unused_since", "waiting")  # fmt: skip

    def __init__(self, channel: str, partition: int) -> None:
        self.channel = channel
        self.partition = partition
        self.interest = 0
        self.unused_since: float | None = None
        self.position = NOWHERE
        self.target = 0  # the offset that must be reached before the first reading is complete
        self.last_id = ""
        self.read_at = 0.0  # in seconds of the loop: Redis forgets what nobody reads
        self.bottom = 1  # Redis had nothing older than this when it was asked
        self.waiting: list[Waiter] = []
        self.early: list[Publication] = []
        self.late: dict[int, Publication] = {}

    @property
    def is_ready(self) -> bool:
        """Whether its place in the journal is known."""
        return self.position.offset >= self.target


class Effects(Protocol):
    """What following causes."""

    def deliver(self, publications: Sequence[Publication]) -> None:
        """Put into the journal and hand to subscribers."""
        ...

    def lost(self, channel: str) -> None:
        """Subscribers of a channel may have missed something."""
        ...

    def read(self, followed: Followed) -> None:
        """Read the channel in Redis soon, and tell `Follower.on_state`."""
        ...


def to_entry(publication: Publication) -> Entry:
    """Make a journal entry of it, whose place in the journal is yet to be given."""
    return Entry(0, publication.channel, publication.position, publication.at, frame(publication.body), publication.id)


class Follower:
    """All followed channels of a node."""

    def __init__(
        self, journal: Journal, retention: Callable[[str], Retention], effects: Effects, now: Callable[[], float]
    ) -> None:
        self.channels: dict[str, Followed] = {}
        self._journal = journal
        self._retention = retention
        self._effects = effects
        self._now = now

    # ── announcements ──

    def take(self, found: Followed, publication: Publication, *, own: bool) -> None:
        """One publication of a followed channel. `own`: the answer to this node's publishing, which may overtake."""
        if not found.is_ready:
            if len(found.early) < _MOST_HELD:
                found.early.append(publication)
            return
        position = found.position
        at = publication.position
        if at.epoch == position.epoch:
            if at.offset <= position.offset:
                self._check_known(found, publication)
            elif at.offset == position.offset + 1:
                self._deliver(found, [publication])
            else:
                self._hold(found, publication, own=own)
        elif publication.link == position and at.offset == 1:
            self._deliver(found, [publication])
        else:
            self._hold(found, publication, own=own)

    def _hold(self, found: Followed, publication: Publication, *, own: bool) -> None:
        # What others published just before is on its way: their announcements come in order, an answer may be early.
        if publication.position.epoch == found.position.epoch and len(found.late) < _MOST_HELD:
            found.late[publication.position.offset] = publication
        if not own:
            self._effects.read(found)

    def _check_known(self, found: Followed, publication: Publication) -> None:
        """An offset that was given twice: the server lost what it had acknowledged. The reading begins a new epoch."""
        log = self._journal.channels.get(found.channel)
        back = found.position.offset - publication.position.offset
        if log is None or log.epoch != publication.position.epoch or back >= len(log.entries):
            return
        if log.entries[-1 - back].id != publication.id:
            found.last_id = "another one"
            self._effects.read(found)

    def _deliver(self, found: Followed, publications: list[Publication]) -> None:
        if not publications:
            return
        position = publications[-1].position
        while (late := found.late.pop(position.offset + 1, None)) is not None:
            publications.append(late)
            position = late.position
        found.position, found.last_id = position, publications[-1].id
        if found.late and min(found.late) <= position.offset:
            found.late = {offset: late for offset, late in found.late.items() if offset > position.offset}
        self._effects.deliver(publications)

    # ── what was read ──

    def on_state(self, found: Followed, asked: Position | None, state: State) -> None:
        """The channel as Redis has it; `asked`: the position of this node when it was asked for what follows."""
        if not found.is_ready:
            self._on_first(found, asked, state)
        else:
            self._on_more(found, state)
        self.answer(found)

    def _on_first(self, found: Followed, asked: Position | None, state: State) -> None:
        """Fill the journal, in as many readings as it takes, from what the first who waits has missed on."""
        entries = self._fresh(state.entries)
        if found.position.epoch != state.position.epoch:
            begins_there = asked is not None and asked.epoch in (state.position.epoch, WHOLE.epoch) and entries
            start = entries[0].position.offset - 1 if begins_there else state.position.offset
            found.position = Position(state.position.epoch, start)
            # Only what was asked for and not found is known to be gone.
            found.bottom = start + 1 if begins_there and asked is not None and start > asked.offset else 1
            self._journal.load(found.channel, found.position, self._now(), [])
            found.target = state.position.offset
        before = found.position
        self._append(found, entries)
        if found.position.offset < found.target:
            if found.position != before:
                self._effects.read(found)
                return
            # Retention was faster than the reading; who wants more than is here now is told so, or reads again.
            found.position = Position(found.position.epoch, found.target)
            self._journal.load(found.channel, found.position, self._now(), [])
        found.target = 0
        if found.position == state.position:
            found.last_id = state.last_id
        early, found.early = found.early, []
        self._append(found, sorted(early, key=lambda publication: publication.position))

    def _append(self, found: Followed, publications: Sequence[Publication]) -> None:
        """Into the journal only: nobody subscribed to this very channel yet, and wildcards have got it otherwise."""
        position = found.position
        for publication in publications:
            if publication.position == (position.epoch, position.offset + 1):
                self._journal.extend(found.channel, to_entry(publication))
                position = publication.position
                found.last_id = publication.id
        found.position = position

    def _on_more(self, found: Followed, state: State) -> None:
        position = found.position
        if state.position.epoch != position.epoch:
            if state.link == position:
                found.position, found.last_id = Position(state.position.epoch, 0), ""
                self._journal.load(found.channel, found.position, self._now(), [])
                if state.position.offset:
                    self._effects.read(found)
            else:
                self._give_up(found, state.position, state.last_id)
            return
        expected = position.offset
        following: list[Publication] = []
        for entry in state.entries:
            if entry.position.offset == expected + 1:
                following.append(entry)
                expected += 1
            elif entry.position.offset > expected + 1:  # the log in Redis no longer has what is missing
                self._give_up(found, state.position, state.last_id)
                return
        self._deliver(found, following)
        if found.position.offset < state.position.offset:
            if following:
                self._effects.read(found)
            else:
                self._give_up(found, state.position, state.last_id)

    def _give_up(self, found: Followed, position: Position, last_id: str) -> None:
        """Go on from what Redis has now, without those who would not see that something is missing."""
        found.position, found.last_id, found.late = position, last_id, {}
        found.bottom = 1
        self._journal.load(found.channel, position, self._now(), [])
        self._effects.lost(found.channel)

    # ── those who wait ──

    def covers(self, found: Followed, since: Position | None) -> bool:
        """Whether the journal can be read now by whoever has `since`."""
        log = self._journal.channels.get(found.channel)
        if not found.is_ready or log is None:
            return False
        if (log.epoch, log.top) != found.position:
            return False
        return since is None or not self.missing(found, log, since)

    def missing(self, found: Followed, log: ChannelLog, since: Position) -> range:
        """Offsets that Redis may have and the journal has not."""
        if since.epoch not in (log.epoch, WHOLE.epoch) or since.offset >= log.top:
            return range(0)
        first_here = log.top - len(log.entries) + 1
        first = max(since.offset + 1, found.bottom, log.top - log.retention.size + 1)
        return range(first, first_here)

    def answer(self, found: Followed) -> None:
        """Tell those who wait and can go on; read for the others."""
        waiting, found.waiting = found.waiting, []
        left = [waiter for waiter in waiting if not self.covers(found, waiter.since)]
        found.waiting = left + found.waiting
        for waiter in waiting:
            if waiter not in left:
                waiter.then(None)
        if found.waiting and found.is_ready:
            self._effects.read(found)

    def give_up_waiting(self, found: Followed, now: float, why: str) -> None:
        """Tell those whose time is over."""
        late = [waiter for waiter in found.waiting if waiter.deadline <= now]
        found.waiting = [waiter for waiter in found.waiting if waiter.deadline > now]
        for waiter in late:
            waiter.then(Unavailable(why))

    def on_older(self, found: Followed, wanted: range, state: State) -> None:
        """Publications that somebody who came later has missed: put in front of those that are here."""
        log = self._journal.channels.get(found.channel)
        if log is not None and state.position.epoch == log.epoch:
            first_here = log.top - len(log.entries) + 1
            older = [e for e in self._fresh(state.entries) if wanted.start <= e.position.offset < first_here]
            whole = len(older) == first_here - older[0].position.offset if older else False
            if whole:
                self._journal.prepend(found.channel, [to_entry(entry) for entry in reversed(older)])
            # Asked for and not there, or dropped at once for want of room: not asked for again.
            log = self._journal.channels.get(found.channel)
            found.bottom = max(found.bottom, log.top - len(log.entries) + 1) if log is not None else 1
        self.answer(found)

    def _fresh(self, entries: list[Publication]) -> list[Publication]:
        """Without what is past its age: Redis drops a whole log when its youngest is old, not one by one."""
        if not entries:
            return entries
        horizon = self._now() - self._retention(entries[0].channel).ttl_s
        first = next((number for number, entry in enumerate(entries) if entry.at > horizon), len(entries))
        return entries[first:]
