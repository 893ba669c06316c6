"""How many connections apex-rtm may have here: descriptors bound it, and `ulimit -n` is not everywhere the same."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bench.contestants import APEX_RTM
from bench.generator import LoadFailed
from bench.peer import Server
from bench.plan import Scale

_PLENTY: Final = 65_536


def raise_file_limit() -> None:
    """Ask for room for ten thousand connections on either side; every server inherits it. Only some may get it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard == resource.RLIM_INFINITY else max(hard, _PLENTY)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def fit(scale: Scale, note: Callable[[str], None]) -> Scale:
    """Take out of a scale what has more connections than apex-rtm accepts here, and say so."""
    wanted = max(scale.large, *scale.channels, *scale.subscribers, *scale.memory_at)
    room = _room_for(wanted)
    if room >= wanted:
        return scale
    note(f"apex-rtm accepts {room:,} connections with ulimit -n {resource.getrlimit(resource.RLIMIT_NOFILE)[0]:,}, "
         f"{wanted:,} were planned: everything larger is cut to that")  # fmt: skip

    def cut(sizes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted({min(size, room) for size in sizes}))

    return replace(
        scale, large=min(scale.large, room), channels=cut(scale.channels), subscribers=cut(scale.subscribers),
        memory_at=cut(scale.memory_at),
    )  # fmt: skip


def _room_for(wanted: int) -> int:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= _PLENTY:
        return wanted
    with Server(APEX_RTM) as server:
        try:
            server.subscribe(wanted)
        except LoadFailed as failure:
            found = re.search(r"has its (\d+) connections", str(failure))
            if found is None:
                raise
            return int(found.group(1)) // 100 * 100
    return wanted
