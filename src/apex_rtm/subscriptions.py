"""What one connection is subscribed to, and how it catches up with what it missed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from apex_rtm.channels import Pattern
from apex_rtm.engine.journal import Entry
from apex_rtm.hub import Hub
from apex_rtm.message import Position
from apex_rtm.peer import Peer
from apex_rtm.protocol import Since

if TYPE_CHECKING:
    from apex_rtm.session import Session

_REPLAY_PART: Final = 500
TOGETHER_BYTES: Final = 65_536  # of a replay in one write


@dataclass(slots=True)
class Subscription:
    """One wish of a client. From `start_seq` in the journal on it delivers; `cursor` is how far a replay has come."""

    pattern: Pattern
    start_seq: int
    cursor: Position


class Subscriptions:
    """All subscriptions of a connection, in the order in which they were made. At most one, the last, is `joining`.

    It is told its session each time: were the two to know each other, an ended connection would wait for the garbage
    collector, with everything that it holds.
    """

    __slots__ = ("_held", "_held_from", "_hub", "_peer", "by_name", "joining")

    def __init__(self, hub: Hub, peer: Peer) -> None:
        self._hub = hub
        self._peer = peer
        self.by_name: dict[str, Subscription] = {}
        self.joining: Subscription | None = None
        self._held: dict[str, Subscription] = {}
        self._held_from = 0

    def add(self, pattern: Pattern) -> Subscription:
        """Note a wish that the hub follows already; nothing is delivered before `go_live` or `replay`."""
        journal = self._hub.journal
        subscription = Subscription(pattern, journal.seq, journal.here(pattern))
        self.by_name[pattern.text] = subscription
        return subscription

    def remove(self, name: str, session: Session) -> Pattern:
        """End a subscription, also one whose replay still waits for the peer."""
        subscription = self.by_name.pop(name)
        if self._hub.departures and session not in self._hub.operators:
            end_seq = self._hub.fanout.written_seq if self.is_live(name) else subscription.start_seq
            self._hub.departures.note(session, subscription, end_seq)
        self._hub.unsubscribe(subscription.pattern, session)
        self._hub.unfollow(subscription.pattern)
        self._held.pop(name, None)
        if subscription is self.joining:
            self.joining = None
            if self._held and not session.ended:  # only the replay knew how far they had come
                session.on_stalled()
        return subscription.pattern

    def is_live(self, name: str) -> bool:
        """Tell whether it delivers at once; False where a replay must first come to the present."""
        return self.joining is None or (name != self.joining.pattern.text and name not in self._held)

    def go_live(self, subscription: Subscription, session: Session) -> None:
        """Deliver what is published from now on."""
        self._hub.subscribe(subscription.pattern, session)

    def recover(self, subscription: Subscription, since: Since) -> bool:
        """Set the subscription back to `since` if everything after it can be delivered in order, once."""
        journal, pattern = self._hub.journal, subscription.pattern
        position: Position | None = Position(since.epoch, since.offset)
        if pattern.is_prefix and self._hub.engine.is_shared:  # each node has an order of its own
            position = None
        elif pattern.is_prefix and since.channel is not None:
            position = journal.journal_position(since.channel, Position(since.epoch, since.offset))
        others = _Deliverers(self._overlapping(subscription))
        # All of it only where it must be compared with what others deliver: a wildcard may have missed the whole log.
        missed = None if position is None else journal.missed(pattern, position, None if others else 1)
        if position is None or missed is None or _is_out_of_order(missed, others):
            self._hub.counts.not_recovered += 1
            return False
        self._hub.counts.recovered += 1
        subscription.cursor = position
        subscription.start_seq = missed[0].seq - 1 if missed else journal.seq
        return True

    def replay(self, subscription: Subscription, session: Session) -> bool:
        """Write what was missed as fast as the peer reads it, then go live. Nothing is queued: the log is the queue.

        Returns False when the log no longer holds what comes next.
        """
        self._hub.fanout.flush()
        if session.ended:  # by what was just written: the peer does not read
            return True
        if self.joining is None:
            self._hold(subscription, session)
        pattern, overlapping = subscription.pattern, self._overlapping(subscription)
        others = _Deliverers(overlapping)
        live = _Deliverers(other for other in overlapping if other.pattern.text not in self._held)
        while self.joining is subscription:
            # A part at a time: a peer that reads slowly comes here again for every few frames.
            missed = self._hub.journal.missed(pattern, subscription.cursor, _REPLAY_PART)
            if missed is None:
                return False
            if not missed:
                self._release(subscription, session)
                break
            frames: list[bytes] = []
            size_bytes = 0
            for entry in missed:
                delivering = others if entry.seq <= self._held_from else live
                if not delivering.of(entry.channel):
                    frames.append(entry.frame)
                    size_bytes += len(entry.frame)
                epoch = subscription.cursor.epoch
                subscription.cursor = Position(epoch, entry.seq) if pattern.is_prefix else entry.position
                if size_bytes < TOGETHER_BYTES and entry is not missed[-1]:
                    continue
                self._write(frames)
                if not self._peer.writable or self.joining is not subscription:
                    return True
                frames, size_bytes = [], 0
        return True

    def _write(self, frames: list[bytes]) -> None:
        if frames:
            self._hub.counts.replayed += len(frames)
            self._peer.send(b"".join(frames))

    def _hold(self, subscription: Subscription, session: Session) -> None:
        """Begin a replay, which from now on brings what narrower subscriptions would: all in the order of the journal.

        A client cannot tell through which of two subscriptions a publication came. It would take a live one for the
        place that the replay has come to, and a cut just then would skip all that lies between.
        """
        self.joining = subscription
        session.arrival.forget()
        narrower = (other for other in self._overlapping(subscription) if _brings(subscription, other))
        self._held = {other.pattern.text: other for other in narrower}
        self._held_from = self._hub.journal.seq
        for other in self._held.values():
            self._hub.unsubscribe(other.pattern, session)

    def _release(self, subscription: Subscription, session: Session) -> None:
        self.joining = None
        self.go_live(subscription, session)
        for other in self._held.values():
            self.go_live(other, session)
        self._held = {}

    def _overlapping(self, subscription: Subscription) -> list[Subscription]:
        """Find the earlier subscriptions that bring some of the same publications: they deliver those. Mostly none."""
        pattern = subscription.pattern
        return [s for s in self.by_name.values() if s is not subscription and s.pattern.overlaps(pattern)]


def _brings(wide: Subscription, narrow: Subscription) -> bool:
    """Tell whether all that `narrow` delivers matches `wide`. Both have the same viewer, but an exact name has none."""
    if narrow.pattern.is_prefix:
        return wide.pattern.covers(narrow.pattern)
    return wide.pattern.matches(narrow.pattern.stem)


class _Deliverers:
    """Some subscriptions of a connection, found by channel: of a thousand, for each publication of a whole log."""

    def __init__(self, subscriptions: Iterable[Subscription]) -> None:
        self._exact: dict[str, Subscription] = {}
        self._prefixes: dict[str, Subscription] = {}
        for subscription in subscriptions:
            table = self._prefixes if subscription.pattern.is_prefix else self._exact
            table[subscription.pattern.stem] = subscription
        self._prefix_lengths = {len(stem) for stem in self._prefixes}

    def __bool__(self) -> bool:
        return bool(self._exact or self._prefixes)

    def of(self, channel: str) -> list[Subscription]:
        """Those that deliver a channel."""
        found = [self._exact[channel]] if channel in self._exact else []
        for length in self._prefix_lengths:
            prefix = self._prefixes.get(channel[:length])
            if prefix is not None and prefix.pattern.matches(channel):
                found.append(prefix)
        return found


def _is_out_of_order(missed: list[Entry], others: _Deliverers) -> bool:
    """Tell whether an earlier subscription already delivers one of the channels from a later place."""
    return any(entry.seq <= other.start_seq for entry in missed for other in others.of(entry.channel))
