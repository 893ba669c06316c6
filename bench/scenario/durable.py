"""What the disk costs: 50 publishers at once, each waiting for its answer, with the log on disk and in memory."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.build import WORK
from bench.peer import Peer, Server
from bench.plan import Run

PUBLISHERS: Final = 50


def concurrent_publishers(run: Run) -> None:
    """The answer of engine sqlite means that the message is on disk; publishers that wait together share a commit."""
    for round_number in range(run.scale.rounds):
        for peer in run.those("apex-rtm"):
            run.attempt(f"durable, round {round_number + 1}:", partial(_turn, run, peer))


def _turn(run: Run, peer: Peer) -> str:
    text = []
    for engine in ("memory", "sqlite"):
        with (
            tempfile.TemporaryDirectory(prefix="log-", dir=WORK) as directory,
            Server(peer, directory=Path(directory), engine=engine) as server,
        ):
            server.subscribe(1)
            options: dict[str, Any] = {"window": PUBLISHERS, "publishers": PUBLISHERS}
            server.publish(run.scale.publishes // 3, **options)
            answer = server.publish(run.scale.publishes * 2, **options)
        per_second = answer["answered"] / answer["wall_s"]
        run.ledger.add(
            f"durable-{engine}", peer.name,
            per_second=per_second, cpu_us=answer.cpu_us / answer["answered"], p99_us=answer["p99_us"],
        )  # fmt: skip
        text.append(f"{engine} {per_second:,.0f}/s, {answer.cpu_us / answer['answered']:.0f} µs each")
    return "; ".join(text)
