"""The centre of one server: takes publications from the engine and hands each frame to everybody who may see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from apex_rtm import codes
from apex_rtm.channels import Pattern
from apex_rtm.clock import SystemClock
from apex_rtm.departures import Departures
from apex_rtm.engine.base import Engine
from apex_rtm.engine.journal import Entry, Journal
from apex_rtm.errors import Unavailable
from apex_rtm.fanout import Fanout
from apex_rtm.message import Position
from apex_rtm.presence import Presence
from apex_rtm.registry import Registry
from apex_rtm.revocations import Revocation, Revocations

if TYPE_CHECKING:
    from apex_rtm.session import Session


class Hub:
    """Sessions, their subscriptions, and delivery. Everything runs on one event loop and nothing here waits."""

    def __init__(
        self, engine: Engine, revocations: Revocations, presence: Presence, registry: Registry, fanout: Fanout
    ) -> None:
        self.engine = engine
        self.revocations = revocations
        self.presence = presence
        self.registry = registry
        self.fanout = fanout
        self.sessions: dict[str, Session] = {}
        self.operators: dict[Session, None] = {}
        self.departures = Departures(0, SystemClock())
        self.counts = fanout.counts
        self.draining = False
        self.answer: Callable[[bytes], bytes] = bytes  # who asks for what is a matter of those above
        if engine.is_shared:
            presence.tell = engine.tell_attendance
        self._due: dict[int, list[Session]] = {}
        self._ticked = 0

    @property
    def journal(self) -> Journal:
        """The log of this server."""
        return self.engine.journal

    # ── delivery ──

    def on_published(self, entries: Sequence[Entry]) -> None:
        """Deliver to the subscribers. Called by the engine, in journal order."""
        self.counts.publications += len(entries)
        self.fanout.add(entries)

    def on_lost(self, channel: str | None) -> None:
        """Close whoever may have missed something, so that they come back and are told what they get. See `Engine`."""
        registry = self.registry
        sessions = registry.prefix_subscribers() if channel is None else registry.subscribers(channel)
        for session in tuple(sessions):
            self.counts.closed_resync += 1
            session.end(codes.RESYNC)

    # ── other nodes ──

    def on_question(self, question: bytes) -> bytes:
        """Answer another node. Called by the engine."""
        return self.answer(question)

    def on_revoked(self, revocation: Revocation) -> None:
        """Take rights away that were taken away on another node. Called by the engine."""
        if not self.revocations.knows(revocation):
            self.take_away(revocation)

    def on_attendance(self, channel: str, node: str, connections: int, users: Mapping[str, int]) -> None:
        """Count who is on a channel through another node. Called by the engine."""
        self.presence.set_elsewhere(channel, node, connections, users)

    def on_node_gone(self, node: str) -> None:
        """Count out whoever was there through another node. Called by the engine."""
        self.presence.drop_node(node)

    def on_unfollowed(self, channel: str) -> None:
        """Forget who is on a channel elsewhere. Called by the engine."""
        self.presence.forget_elsewhere(channel)

    # ── sessions ──

    def enter(self, session: Session) -> None:
        """Count a session in."""
        self.sessions[session.id] = session

    def leave(self, session: Session) -> None:
        """Forget a session that has ended."""
        self.operators.pop(session, None)
        self.sessions.pop(session.id, None)

    def wake(self, session: Session, at: float) -> None:
        """Call `session.on_time` at the first tick after `at` (monotonic seconds)."""
        self._due.setdefault(max(int(at) + 1, self._ticked + 1), []).append(session)

    def tick(self, now: float) -> None:
        """Let the sessions whose time has come look at their clocks. Called about once a second."""
        self._ticked = int(now)
        for second in sorted(second for second in self._due if second <= now):
            for session in self._due.pop(second):
                session.on_time(now)

    # ── rights ──

    async def revoke(self, revocation: Revocation) -> tuple[int, int]:
        """Take rights away on every node; return how many connections and subscriptions ended. Raises Unavailable.

        The revocation is in force before it is written, so that no subscription slips in between.
        """
        ended = self.take_away(revocation)
        await self.engine.revoke(revocation)
        return ended

    def take_away(self, revocation: Revocation) -> tuple[int, int]:
        """Take rights away on this node; return how many connections and subscriptions ended."""
        self.fanout.flush()
        self.revocations.add(revocation)
        self.counts.revocations += 1
        connections = subscriptions = 0
        for session in list(self.sessions.values()):
            if session.identity is None or not revocation.names(session.identity):
                continue
            if revocation.channel is None:
                session.end(codes.REVOKED, "revoked", "the token was revoked")
                connections += 1
            else:
                subscriptions += session.drop_channel(revocation.channel)
        return connections, subscriptions

    def follow(self, pattern: Pattern, since: Position | None, then: Callable[[Unavailable | None], None]) -> bool:
        """Have the journal ready for a new subscription. See `Engine.follow`."""
        return self.engine.follow(pattern, since, then)

    def unfollow(self, pattern: Pattern) -> None:
        """Nobody waits for `follow` or for its publications any more."""
        self.engine.unfollow(pattern)

    def subscribe(self, pattern: Pattern, session: Session) -> None:
        """Begin live delivery with what is published from now on."""
        self.fanout.flush()
        self.registry.add(pattern, session)

    def unsubscribe(self, pattern: Pattern, session: Session) -> None:
        """End live delivery, after what was published until now."""
        self.fanout.flush()
        self.registry.remove(pattern, session)
