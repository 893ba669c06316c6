"""One running server as its figures see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from apex_rtm.edge.intake import Intake
from apex_rtm.hub import Hub
from apex_rtm.limits import ConnectionQuota
from apex_rtm.relay.counts import Counts as RelayCounts


@dataclass(frozen=True, slots=True)
class Node:
    """What there is to read. `log_max_bytes` is the limit of the log in memory, `monotonic` the clock of the relay."""

    hub: Hub
    quota: ConnectionQuota
    intake: Intake
    engine: str
    mode: str
    log_max_bytes: int
    ping_interval_s: float
    relay: RelayCounts | None
    monotonic: Callable[[], float]
