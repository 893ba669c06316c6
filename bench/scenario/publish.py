"""What one POST costs: with one subscriber, in batches, and to one of many channels."""

from __future__ import annotations

from functools import partial
from typing import Any

from bench.contestants import subscribe_to
from bench.peer import Peer, Server, batch_of
from bench.plan import Run

BATCH = 100
_DIGITS = 6
# Waking a process costs a virtual machine anything from 15 to 500 µs, for seconds on end, so a median needs more turns.
_TIMES = 3


def one_subscriber(run: Run) -> None:
    """One publisher, one subscriber, one publication at a time; then batches of 100 for who takes them."""
    for round_number in range(_TIMES * run.scale.rounds):
        for peer in run.programs:
            run.attempt(f"one subscriber, round {round_number + 1}: {peer.name:12}", partial(_alone, run, peer))


def _alone(run: Run, peer: Peer) -> str:
    with Server(peer) as server:
        server.subscribe(1)
        server.publish(run.scale.publishes // 3)
        answer = server.publish(run.scale.publishes)
        cpu_us = answer.cpu_us / run.scale.publishes
        run.ledger.add("publish", peer.name, cpu_us=cpu_us, p50_us=answer["p50_us"], p99_us=answer["p99_us"])
        text = f"{cpu_us:6.1f} µs a publish"
        if peer.name == "apex-rtm":
            batch_us = _batch_us(run, server)
            run.ledger.add("batch", peer.name, cpu_us=batch_us)
            text += f", {batch_us:.1f} µs a message in batches of {BATCH}"
    return text


def _batch_us(run: Run, server: Server) -> float:
    body = batch_of(server.peer.body(), BATCH)
    batches = max(run.scale.publishes // 20, 10)
    options: dict[str, Any] = {"batch": BATCH, "path": "/api/broadcast/batch"}
    server.publish(batches // 3, body, **options)
    return server.publish(batches, body, **options).cpu_us / (batches * BATCH)


def channel_name(number: int | str) -> str:
    """A channel of many: the generator writes numbers of six digits in place of the @."""
    return f"orders:{number:06d}" if isinstance(number, int) else f"orders:{number}"


def one_of_many_channels(run: Run) -> None:
    """Each channel has one subscriber; publications go to one after the other."""
    for round_number in range(_TIMES * run.scale.rounds):
        for peer in run.those("apex-rtm"):
            run.attempt(f"channels, round {round_number + 1}: µs a publish at", partial(_spread, run, peer))


def _spread(run: Run, peer: Peer) -> str:
    slot = "@" * _DIGITS
    costs: list[str] = []
    with Server(peer) as server:
        body = peer.body(channel=channel_name(slot))
        there = 0
        for channels in run.scale.channels:
            server.subscribe(channels - there, lambda number: subscribe_to(channel_name(number)), first=there)
            there = channels
            options: dict[str, Any] = {"fanout": 1, "channels": channels, "slot": slot}
            # Every channel is published to once before: the first publication of a channel makes its log.
            server.publish(max(channels, run.scale.publishes // 3), body, **options, window=8, publishers=8)
            answer = server.publish(run.scale.publishes, body, **options)
            cpu_us = answer.cpu_us / run.scale.publishes
            run.ledger.add(f"channels-{channels}", peer.name, cpu_us=cpu_us)
            run.ledger.point("channels", peer.name, channels, cpu_us)
            costs.append(f"{channels:,}: {cpu_us:.1f}")
    return ", ".join(costs)
