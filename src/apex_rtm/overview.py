"""What operators and the console may see: channels, history, presence, connections. Reads only."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import msgspec

from apex_rtm.channels import Pattern
from apex_rtm.hub import Hub
from apex_rtm.message import Position
from apex_rtm.protocol import unframe


def describe_channels(hub: Hub, prefix: str, limit: int) -> dict[str, Any]:
    """Channels with history or subscribers: `{"channels": [{"channel", "subscribers", "epoch", "offset", "kept"}]}`."""
    journal = hub.journal
    names = dict.fromkeys(itertools.chain(journal.channels, hub.registry.channels()))
    found = list(itertools.islice((name for name in names if name.startswith(prefix)), limit + 1))
    described = []
    for name in found[:limit]:
        epoch, offset = journal.top(name)
        log = journal.channels.get(name)
        described.append(
            {
                "channel": name,
                "subscribers": _count_subscribers(hub, name),
                "epoch": epoch,
                "offset": offset,
                "kept": len(log.entries) if log else 0,
            }
        )
    return {"ok": True, "channels": described, "more": len(found) > limit}


def history_of(hub: Hub, channel: str, epoch: str | None, offset: int, limit: int) -> dict[str, Any]:
    """Publications of one channel, oldest first: the newest `limit`, or after (epoch, offset) the first `limit`.

    `complete` is false where publications after that position are gone.
    """
    top = hub.journal.top(channel)
    log = hub.journal.channels.get(channel)
    kept = list(log.entries) if log else []
    if epoch is None:
        entries, complete = kept[len(kept) - min(limit, len(kept)) :], True
    else:
        missed = hub.journal.missed(Pattern(channel, channel, is_prefix=False), Position(epoch, offset))
        complete = missed is not None
        entries = (kept if missed is None else missed)[:limit]
    return {
        "ok": True,
        "channel": channel,
        "epoch": top.epoch,
        "offset": top.offset,
        "complete": complete,
        "publications": [msgspec.Raw(unframe(entry.frame)) for entry in entries],
    }


def presence_of(hub: Hub, channel: str) -> dict[str, Any]:
    """Who named this channel in a subscription: `{"connections": 3, "users": {"SCOTT": 2}}`."""
    sessions = [session for session in hub.registry.exact_subscribers(channel) if session not in hub.operators]
    users = Counter(s.identity.user for s in sessions if s.identity is not None and s.identity.user is not None)
    return {"ok": True, "channel": channel, "connections": len(sessions), "users": dict(users)}


def connections_of(hub: Hub, user: str | None, channel: str | None, limit: int) -> dict[str, Any]:
    """Live connections, filtered: `{"connections": [{"id", "user", "ip", "channels", "waitingBytes", …}]}`."""
    wanted = (
        session
        for session in hub.sessions.values()
        if session not in hub.operators
        and (user is None or (session.identity is not None and session.identity.user == user))
        and (channel is None or any(s.pattern.matches(channel) for s in session.subscriptions.values()))
    )
    found = list(itertools.islice(wanted, limit + 1))
    described = [
        {
            "id": session.id,
            "user": session.identity.user if session.identity else None,
            "sessionId": session.identity.session_id if session.identity else None,
            "ip": session.ip,
            "connectedAt": int(session.connected_at),
            "channels": list(session.subscriptions),
            "waitingBytes": session.waiting_bytes,
        }
        for session in found[:limit]
    ]
    total = len(hub.sessions) - len(hub.operators)
    return {"ok": True, "connections": described, "more": len(found) > limit, "total": total}


def _count_subscribers(hub: Hub, channel: str) -> int:
    """Those who get a channel, without the consoles that look on."""
    subscribers = hub.registry.subscribers(channel)
    return len(subscribers) - sum(1 for session in hub.operators if session in subscribers)
