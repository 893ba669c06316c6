"""Who got a message: for each connection of this node what is known, and nothing more.

No delivery is written down. What a connection was given follows from where its subscription began, from what waits in
front of it, and from the last ping it answered. The states, from the best:

arrived    the browser's WebSocket has answered a ping that was written after the message
handed     the operating system took it all; the next answered ping will tell whether it arrived
waiting    bytes wait in this server for a peer that reads slowly; the message may be among them
replaying  the connection is catching up and has not come to the message yet
ended      the subscription ended after the message was written and before anything proved its arrival
later      the subscription began after the message and did not ask for it
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from apex_rtm.channels import Pattern
from apex_rtm.departures import Departure
from apex_rtm.engine.journal import Entry
from apex_rtm.hub import Hub
from apex_rtm.session import Session
from apex_rtm.subscriptions import Subscription

STATES: Final = ("arrived", "handed", "waiting", "replaying", "ended", "later")
MAX_SCANNED: Final = 10_000
"""Connections that one question looks at: about 5 microseconds each, in which nothing is delivered."""
MAX_ASKED: Final = 1000


def find_entry(hub: Hub, channel: str, epoch: str | None, offset: int | None, message_id: str | None) -> Entry | None:
    """The publication in the log, by its id or its offset; the newest where neither is given. None when it is gone."""
    log = hub.journal.channels.get(channel)
    if log is None or (epoch is not None and epoch != log.epoch):
        return None
    if message_id is not None:
        return next((entry for entry in reversed(log.entries) if entry.id == message_id), None)
    if offset is None:
        return log.entries[-1] if log.entries else None
    place = offset - log.top + len(log.entries) - 1
    return log.entries[place] if 0 <= place < len(log.entries) else None


def receipt_of(hub: Hub, entry: Entry, user: str | None, limit: int) -> dict[str, Any]:
    """Say of each connection what is known: `{"counts": {…}, "users": {…}, "connections": […], "more": false}`."""
    counts: Counter[str] = Counter()
    users: dict[str, Counter[str]] = {}
    rows: list[dict[str, Any]] = []
    scanned = 0
    for row in itertools.islice(_rows(hub, entry), MAX_SCANNED):
        scanned += 1
        if user is not None and row["user"] != user:
            continue
        counts[row["state"]] += 1
        if row["user"] is not None:
            users.setdefault(row["user"], Counter())[row["state"]] += 1
        if len(rows) < limit:
            rows.append(row)
    return {
        "counts": {state: counts[state] for state in STATES},
        "users": [
            {"user": name, "state": next(state for state in STATES if states[state]), "connections": states.total()}
            for name, states in itertools.islice(users.items(), limit)
        ],
        "connections": rows,
        "more": scanned == MAX_SCANNED or counts.total() > len(rows) or len(users) > limit,
        "endedKnownSince": hub.departures.since,
    }


def ask_arrival(hub: Hub, entry: Entry, user: str | None) -> int:
    """Ping whoever was handed the message and has not proved its arrival; return how many were asked."""
    asked = 0
    for session, pattern in itertools.islice(hub.registry.subscribers(entry.channel).items(), MAX_SCANNED):
        if asked == MAX_ASKED:
            break
        if session in hub.operators or (user is not None and _user(session) != user):
            continue
        if _state(hub, session, pattern, entry) in ("handed", "waiting"):
            session.ask_arrival()
            asked += 1
    return asked


def _rows(hub: Hub, entry: Entry) -> Iterator[dict[str, Any]]:
    live = hub.registry.subscribers(entry.channel)
    # Who is catching up is not in the registry; there are few, and looking whether one is costs next to nothing.
    busy = [(session, None) for session in hub.sessions.values() if session.is_busy and session not in live]
    for session, pattern in itertools.chain(tuple(live.items()), busy):
        state = _state(hub, session, pattern, entry)
        if state is not None and session not in hub.operators:
            yield {
                "connection": session.id,
                "user": _user(session),
                "sessionId": session.identity.session_id if session.identity else None,
                "ip": session.ip,
                "state": state,
                "endedAt": None,
            }
    for departure in hub.departures.of(entry.channel, entry.seq):
        yield _departed(departure, entry)


def _departed(departure: Departure, entry: Entry) -> dict[str, Any]:
    return {
        "connection": departure.connection,
        "user": departure.user,
        "sessionId": departure.session_id,
        "ip": departure.ip,
        "state": "arrived" if departure.arrived_seq >= entry.seq else "ended",
        "endedAt": departure.at,
    }


def _state(hub: Hub, session: Session, pattern: Pattern | None, entry: Entry) -> str | None:
    """What is known of one connection; None where it has nothing to do with the channel."""
    wishes = _wishes(session, pattern, entry.channel)
    if not wishes:
        return None
    giving = [wish for wish in wishes if wish.start_seq < entry.seq]
    if not giving:
        return "later"
    if any(session.is_live(wish.pattern.text) for wish in giving):
        if session.arrival.seq >= entry.seq:
            return "arrived"
    elif not any(_has_come_to(wish, entry) for wish in giving):
        return "replaying"
    return "waiting" if session.waiting_bytes or entry.seq > hub.fanout.written_seq else "handed"


def _wishes(session: Session, pattern: Pattern | None, channel: str) -> list[Subscription]:
    """Subscriptions that bring the channel. A thousand are not compared: the registry has named the one that does."""
    if pattern is None:
        return [wish for wish in session.subscriptions.values() if wish.pattern.matches(channel)]
    names = {channel, pattern.text}
    return [session.subscriptions[name] for name in names if name in session.subscriptions]


def _has_come_to(wish: Subscription, entry: Entry) -> bool:
    """Tell whether a replay has written the message already."""
    return wish.cursor.offset >= (entry.seq if wish.pattern.is_prefix else entry.position.offset)


def _user(session: Session) -> str | None:
    return session.identity.user if session.identity else None
