"""What a relay has done since it started, as plain numbers for whoever shows them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Counters grow; the others are the state of things.

    `sent`, `refused` and `parked` count rows whose marks were committed: a row that is refused three times and
    then parked counts three times as refused, the last of them as parked too.
    """

    sent: int = 0
    refused: int = 0
    parked: int = 0
    batches: int = 0
    publish_failures: int = 0
    database_failures: int = 0
    connections: int = 0
    is_connected: bool = False
    is_woken: bool = False
    last_failure: str | None = None
    waiting_since_s: float | None = None
    """When the oldest row that waits was inserted, on the relay's monotonic clock; None when none is known to wait."""

    def lag_s(self, now_s: float) -> float:
        """How long the oldest row known has been waiting; 0 when none is. `now_s` is monotonic time."""
        return 0.0 if self.waiting_since_s is None else max(0.0, now_s - self.waiting_since_s)

    def snapshot(self, now_s: float) -> dict[str, int | float | bool | str | None]:
        """Everything as one flat table, for a log line, a health page or metrics."""
        return {
            "sent": self.sent,
            "refused": self.refused,
            "parked": self.parked,
            "batches": self.batches,
            "publish_failures": self.publish_failures,
            "database_failures": self.database_failures,
            "connections": self.connections,
            "is_connected": self.is_connected,
            "is_woken": self.is_woken,
            "lag_s": round(self.lag_s(now_s), 3),
            "last_failure": self.last_failure,
        }
