"""Resident memory for each idle, subscribed connection. apex-rtm runs in secured mode: everybody has a token."""

from __future__ import annotations

from functools import partial
from typing import Any

from bench.contestants import connect_and_subscribe
from bench.peer import Peer, Server
from bench.plan import Run

_SETTLE_S = 0.5


def idle_connections(run: Run) -> None:
    """Open more and more; the figure is what each connection after the first few hundred added."""
    for peer in run.programs:
        if peer.name != "c-limit":
            run.attempt(f"memory: {peer.name:12}", partial(_fill, run, peer))


def _fill(run: Run, peer: Peer) -> str:
    is_ours = peer.name == "apex-rtm"
    options: dict[str, Any] = {"secured": True} if is_ours else {}
    script = (lambda number: connect_and_subscribe(f"USER{number}", "test")) if is_ours else None
    with Server(peer, **options) as server:
        there, sizes = 0, {}
        for count in run.scale.memory_at:
            server.subscribe(count - there, script, first=there)
            there = count
            server.publish(3)  # a connection that has never been written to is not yet what it will be
            server.generator.rest(_SETTLE_S)
            sizes[count] = server.rss_bytes()
            run.ledger.point("memory", peer.name, count, sizes[count] / 1e6)
    first, last = min(sizes), max(sizes)
    each = (sizes[last] - sizes[first]) / (last - first)
    run.ledger.add("memory", peer.name, bytes_each=each, base_bytes=sizes[first] - each * first)
    return f"{each / 1024:6.1f} KB for each of {last - first:,} connections, {sizes[last] / 1e6:.0f} MB in all"
