"""Everybody comes back after a restart with a place in the log, and gets what was missed."""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

from bench.build import WORK
from bench.peer import Peer, Server
from bench.plan import Run
from bench.scenario.delivery import per_delivery_us

MISSED: Final = 20


def after_a_restart(run: Run) -> None:
    """`kill -9`, start again on the same log, connect everybody, then let everybody subscribe from where they were."""
    for round_number in range(run.scale.rounds):
        for peer in run.those("apex-rtm"):
            with tempfile.TemporaryDirectory(prefix="log-", dir=WORK) as directory:
                run.attempt(f"recovery, round {round_number + 1}:", partial(_turn, run, peer, Path(directory)))


def _turn(run: Run, peer: Peer, directory: Path) -> str:
    clients = run.scale.recovering
    body = peer.body()
    with Server(peer, directory=directory, engine="sqlite") as server:
        place = _post(server, body)
        for _ in range(MISSED):
            _post(server, body)
    since = {"epoch": place["epoch"], "offset": place["offset"]}
    command = json.dumps({"type": "subscribe", "channel": "test", "id": 1, "since": since}, separators=(",", ":"))
    with Server(peer, directory=directory, engine="sqlite") as server:
        opened = server.subscribe(clients, lambda _number: "")
        caught_up = server.generator.say([command] * clients, clients * MISSED)
        live = server.publish(max(run.scale.deliveries // clients, 8))
    each_us = caught_up.cpu_us / caught_up["deliveries"]
    live_us = per_delivery_us(live)
    run.ledger.add(
        "recovery", peer.name,
        cpu_us=each_us, live_us=live_us, ratio=each_us / live_us, wall_s=caught_up["wall_s"],
        handshake_us=opened.cpu_us / clients,
    )  # fmt: skip
    return (
        f"{clients:,} clients × {MISSED}: {each_us:.2f} µs a message, live {live_us:.2f} µs, "
        f"{caught_up['wall_s']:.2f} s in all, handshake {opened.cpu_us / clients:.0f} µs each"
    )


def _post(server: Server, body: bytes) -> dict[str, Any]:
    request = Request(
        f"http://127.0.0.1:{server.http_port}/api/broadcast", body, {"Content-Type": "application/json"}
    )  # fmt: skip
    with urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
    return answer
