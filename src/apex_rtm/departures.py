"""Subscriptions that have ended lately, so that one can still tell whom a message was written to. Bounded in number."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apex_rtm.channels import Pattern
from apex_rtm.clock import Clock

if TYPE_CHECKING:
    from apex_rtm.session import Session
    from apex_rtm.subscriptions import Subscription


@dataclass(frozen=True, slots=True)
class Departure:
    """One subscription that has ended: it delivered what lies after `start_seq` up to `end_seq` in the journal.

    `arrived_seq` is how far it is known to have arrived; `at` is in seconds since 1970.
    """

    connection: str
    user: str | None
    session_id: str | None
    ip: str
    pattern: Pattern
    start_seq: int
    end_seq: int
    arrived_seq: int
    at: float


class Departures:
    """The last so many of them. With room for none, nothing is kept."""

    def __init__(self, room: int, clock: Clock) -> None:
        self._kept: deque[Departure] = deque(maxlen=room)
        self._clock = clock

    def __bool__(self) -> bool:
        """Tell whether anything is kept at all."""
        return self._kept.maxlen != 0

    def note(self, session: Session, subscription: Subscription, end_seq: int) -> None:
        """Keep a subscription of `session` that ends now; the oldest goes where there is no room."""
        who = session.identity
        self._kept.append(
            Departure(
                connection=session.id,
                user=who.user if who else None,
                session_id=who.session_id if who else None,
                ip=session.ip,
                pattern=subscription.pattern,
                start_seq=subscription.start_seq,
                end_seq=end_seq,
                arrived_seq=session.arrival.seq,
                at=self._clock.now(),
            )
        )

    def of(self, channel: str, seq: int) -> Iterator[Departure]:
        """Those that delivered a publication, the latest first."""
        for departure in reversed(self._kept):
            if departure.start_seq < seq <= departure.end_seq and departure.pattern.matches(channel):
                yield departure

    @property
    def since(self) -> float | None:
        """From when on every departure is known; None where none was lost."""
        return self._kept[0].at if self._kept and len(self._kept) == self._kept.maxlen else None
