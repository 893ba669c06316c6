"""Which server holds which partition."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from redis.crc import key_slot

from apex_rtm.engine.redis.layout import Layout
from apex_rtm.engine.redis.wire import Lost, Wire
from apex_rtm.redis_url import Address, Target

_SLOTS: Final = 16384


async def locate(target: Target, layout: Layout, known: Iterable[Address], timeout_s: float) -> list[Address]:
    """Return the server of each partition. `known` are asked too, after the configured ones. Raises Lost."""
    if target.kind == "single":
        return [target.hosts[0]] * layout.partitions
    failures = []
    for address in dict.fromkeys((*target.hosts, *known)):
        try:
            wire = await Wire.connect(address, target, timeout_s, data=target.kind == "cluster")
            try:
                return await _ask(wire, target, layout, timeout_s)
            finally:
                wire.close()
        except Lost as lost:
            failures.append(str(lost))
    raise Lost("; ".join(failures))


async def _ask(wire: Wire, target: Target, layout: Layout, timeout_s: float) -> list[Address]:
    if target.kind == "sentinel":
        question: tuple[str, ...] = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", target.service)
    else:
        question = ("CLUSTER", "SLOTS")
    (reply,) = await wire.call([question], timeout_s)
    if reply is None:
        raise Lost(f"{wire.address} knows no service {target.service!r}")
    if isinstance(reply, Exception):
        raise Lost(f"{wire.address}: {reply}")
    if target.kind == "sentinel":
        return [Address(reply[0].decode(), int(reply[1]))] * layout.partitions
    owners = _owners(reply, wire.address)
    return [_owner(owners, layout.tag(partition)) for partition in range(layout.partitions)]


def _owners(slots: list[Any], asked: Address) -> list[tuple[int, int, Address]]:
    """CLUSTER SLOTS: from, to, then the primary first. An empty host means the one that was asked."""
    return [
        (first, last, Address((primary[0] or b"").decode() or asked.host, primary[1]))
        for first, last, primary, *_ in slots
    ]


def _owner(owners: list[tuple[int, int, Address]], key: str) -> Address:
    slot = key_slot(key.encode(), _SLOTS)
    for first, last, address in owners:
        if first <= slot <= last:
            return address
    raise Lost(f"no server of the Cluster has slot {slot}")
