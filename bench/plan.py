"""How much is measured: the full run and the quick one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.contestants import VARIANTS
from bench.generator import LoadFailed
from bench.ledger import Ledger
from bench.peer import Peer


@dataclass(frozen=True)
class Scale:
    """Sizes of a run. A turn should take about a second of the server's time: less is noise, more is patience."""

    rounds: int
    large: int  # subscribers
    deliveries: int  # in a turn
    publishes: int  # in a turn with one subscriber
    rate_s: float
    channels: tuple[int, ...]
    subscribers: tuple[int, ...]
    message_bytes: tuple[int, ...]
    user_connections: tuple[int, ...]
    history: tuple[int, ...]
    memory_at: tuple[int, ...]
    recovering: int


FULL: Final = Scale(
    rounds=3, large=9000, deliveries=80_000, publishes=3000, rate_s=4.0,
    channels=(10, 100, 1000, 10_000), subscribers=(10, 30, 100, 300, 1000, 3000, 9000),
    message_bytes=(100, 1000, 10_000, 100_000), user_connections=(1, 10, 100), history=(1, 10, 100, 1000, 10_000),
    memory_at=(500, 1000, 2000, 5000, 9000), recovering=5000,
)  # fmt: skip
QUICK: Final = Scale(
    rounds=1, large=3000, deliveries=30_000, publishes=600, rate_s=0.6,
    channels=(10, 3000), subscribers=(10, 100, 1000), message_bytes=(100, 10_000),
    user_connections=(1, 100), history=(10, 1000), memory_at=(500, 2000), recovering=1000,
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What a scenario works with."""

    scale: Scale
    peers: list[Peer]
    ledger: Ledger
    say: Callable[[str], None]

    def attempt(self, what: str, turn: Callable[[], str]) -> None:
        """Take a turn, and say what it measured. One that fails is taken once more; what it had noted is forgotten."""
        for _ in range(2):
            before = copy.deepcopy((self.ledger.samples, self.ledger.curves))
            try:
                self.say(f"{what} {turn()}")
            except LoadFailed as failure:
                self.ledger.samples, self.ledger.curves = before
                self.ledger.notes.append(f"{what} failed: {failure}")
                self.say(self.ledger.notes[-1])
            else:
                return

    @property
    def programs(self) -> list[Peer]:
        """The peers without their variants."""
        return [peer for peer in self.peers if peer.name not in VARIANTS]

    def those(self, *names: str) -> list[Peer]:
        """The peers of these names that take part, in the order of the names."""
        found = {peer.name: peer for peer in self.peers}
        return [found[name] for name in names if name in found]
