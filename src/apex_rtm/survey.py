"""Questions to all nodes that share the log. Each answers from what it has; one node has nobody else to ask."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from apex_rtm.channels import Pattern
from apex_rtm.errors import Unavailable
from apex_rtm.hub import Hub
from apex_rtm.message import Position
from apex_rtm.overview import connections_of, describe_channels, presence_of
from apex_rtm.revocations import Revocation

_WHOLE: Final = Position("*", 0)


class _Question(msgspec.Struct, omit_defaults=True):
    kind: str
    prefix: str = ""
    limit: int = 0
    user: str | None = None
    session_id: str | None = None
    channel: str | None = None
    at: float = 0.0


_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(_Question).decode


def answer(hub: Hub, question: bytes) -> bytes:
    """Answer what another node asks: with what an operator would be told by this node alone."""
    return _encode(_answer(hub, _decode(question)))


def _answer(hub: Hub, asked: _Question) -> Any:
    match asked.kind:
        case "channels":
            return describe_channels(hub, asked.prefix, asked.limit)
        case "connections":
            return connections_of(hub, asked.user, asked.channel, asked.limit)
        case "presence":
            return presence_of(hub, asked.channel or "")
        case "revoke":
            return hub.take_away(Revocation(asked.user, asked.session_id, asked.channel, asked.at))
        case _:  # of a later release
            return None


async def _ask(hub: Hub, own: Any, question: _Question) -> tuple[list[Any], dict[str, Any]]:
    """Return the answers of all nodes, this one's first, and how many of how many answered."""
    found = await hub.engine.ask_others(_encode(question))
    others = [value for value in map(msgspec.json.decode, found.answers) if value is not None]
    nodes = {"asked": found.asked + 1, "answered": len(others) + 1}
    return [own, *others], {"nodes": nodes} if hub.engine.is_shared else {}


async def ask_channels(hub: Hub, prefix: str, limit: int) -> dict[str, Any]:
    """Channels that somebody follows on any node; see `describe_channels`."""
    own = describe_channels(hub, prefix, limit)
    answers, nodes = await _ask(hub, own, _Question("channels", prefix=prefix, limit=limit))
    channels: dict[str, dict[str, Any]] = {}
    for channel in (one for part in answers for one in part["channels"]):
        known = channels.setdefault(channel["channel"], channel)
        if known is not channel:
            known["subscribers"] += channel["subscribers"]
            known["kept"] = max(known["kept"], channel["kept"])
            known["offset"] = max(known["offset"], channel["offset"])
    more = len(channels) > limit or any(part["more"] for part in answers)
    return {"ok": True, "channels": list(channels.values())[:limit], "more": more, **nodes}


async def ask_connections(hub: Hub, user: str | None, channel: str | None, limit: int) -> dict[str, Any]:
    """Live connections of all nodes; see `connections_of`."""
    own = connections_of(hub, user, channel, limit)
    answers, nodes = await _ask(hub, own, _Question("connections", user=user, channel=channel, limit=limit))
    found = [one for part in answers for one in part["connections"]]
    more = len(found) > limit or any(part["more"] for part in answers)
    total = sum(part["total"] for part in answers)
    return {"ok": True, "connections": found[:limit], "more": more, "total": total, **nodes}


async def ask_presence(hub: Hub, channel: str) -> dict[str, Any]:
    """Who named this channel on any node; see `presence_of`."""
    answers, nodes = await _ask(hub, presence_of(hub, channel), _Question("presence", channel=channel))
    users: Counter[str] = Counter()
    for part in answers:
        users.update(part["users"])
    connections = sum(part["connections"] for part in answers)
    return {"ok": True, "channel": channel, "connections": connections, "users": dict(users), **nodes}


async def revoke_everywhere(hub: Hub, revocation: Revocation) -> tuple[int, int]:
    """Take rights away on all nodes; return how many connections and subscriptions ended. Raises Unavailable."""
    own = await hub.revoke(revocation)
    question = _Question("revoke", user=revocation.user, session_id=revocation.session_id, channel=revocation.channel)
    question.at = revocation.at
    answers, _ = await _ask(hub, own, question)
    return sum(part[0] for part in answers), sum(part[1] for part in answers)


@contextlib.asynccontextmanager
async def whole_log(hub: Hub, channel: str) -> AsyncIterator[None]:
    """Have everything that is kept of a channel in the journal for the time of a block. Raises Unavailable."""
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def then(trouble: Unavailable | None) -> None:
        if ready.done():
            return
        if trouble is None:
            ready.set_result(None)
        else:
            ready.set_exception(trouble)

    pattern = Pattern(channel, channel, is_prefix=False)
    try:
        if not hub.follow(pattern, _WHOLE, then):
            await ready
        yield
    finally:
        hub.unfollow(pattern)
