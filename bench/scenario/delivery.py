"""One channel with many subscribers: processor time for each delivery, and how long a delivery takes.

Four kinds of load on the same connections. One at a time: the next publication is sent when the last one has arrived
everywhere, so no server can join two in one write. Back to back: it is sent when the last one is answered. Flood: 32
publishers keep 32 publications under way, each being that until it is answered and has arrived; what a server has
pending for a connection it may join. Rate: an open loop of so many publications a second; latency counts from the
moment that each was due, so a server that falls behind shows it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from bench.generator import Answer, LoadFailed
from bench.peer import Peer, Server
from bench.plan import Run

FLOOD: Final[dict[str, Any]] = {"window": 32, "publishers": 32}
RATE_PUBLISHERS = 8
# Who is named in a target, and who shows where they stand.
_LARGE: Final = ("apex-rtm", "apex-rtm-plain", "c-limit", "c-uring", "node-ws", "uwebsockets", "centrifugo")
# Whose latency is alike at the saturating rate. One pause of the machine is the p99 of a turn, so they take more turns.
_CLOSE: Final = ("apex-rtm", "c-limit", "uwebsockets")
_MORE_TIMES = 2
SATURATING_RATE, LIGHT_RATE = 100, 20


def at_a_thousand(run: Run) -> None:
    """1,000 subscribers, with latency."""
    for round_number in range(run.scale.rounds):
        for peer in run.peers:
            turn = partial(_turn, run, peer, "1000", 1000, with_rates=True)
            run.attempt(f"1,000 subscribers, round {round_number + 1}: {peer.name:12}", turn)


def at_the_saturating_rate(run: Run) -> None:
    """The same 1,000 subscribers at 100 publications a second, again."""
    for round_number in range(_MORE_TIMES * run.scale.rounds):
        for peer in run.those(*_CLOSE):
            run.attempt(f"100/s, round {round_number + 1}: {peer.name:12}", partial(_rate_turn, run, peer))


def _rate_turn(run: Run, peer: Peer) -> str:
    with Server(peer) as server:
        server.subscribe(1000)
        server.publish(20)
        answer = _at_rate(run, server, SATURATING_RATE)
    return "lost connections" if answer is None else f"p99 {answer['p99_us'] / 1000:.1f} ms"


def at_many_thousands(run: Run) -> None:
    """As many as one server's descriptors allow comfortably."""
    count = run.scale.large
    for round_number in range(run.scale.rounds):
        for peer in run.those(*_LARGE):
            turn = partial(_turn, run, peer, "large", count, with_rates=False)
            run.attempt(f"{count:,} subscribers, round {round_number + 1}: {peer.name:12}", turn)


def _turn(run: Run, peer: Peer, scenario: str, subscribers: int, *, with_rates: bool) -> str:
    publications = max(run.scale.deliveries // subscribers, 8)
    with Server(peer) as server:
        server.subscribe(subscribers)
        server.publish(max(publications // 4, 5))  # what is compiled while running is compiled now
        single = server.publish(publications)
        note_cost(run, f"single-{scenario}", peer, single)
        note_cost(run, f"back-to-back-{scenario}", peer, server.publish(publications, hasty=1))
        server.publish(publications // 2, **FLOOD)
        flood = server.publish(publications * 2, **FLOOD)
        note_cost(run, f"flood-{scenario}", peer, flood)
        text = f"{per_delivery_us(single):6.2f} µs, flood {per_delivery_us(flood):6.2f} µs"
        if with_rates:
            for rate in (LIGHT_RATE, SATURATING_RATE):
                answer = _at_rate(run, server, rate)
                if answer is not None:
                    text += f", {rate}/s p99 {answer['p99_us'] / 1000:.1f} ms"
    return text


def _at_rate(run: Run, server: Server, rate: int) -> Answer | None:
    try:
        answer = server.publish(int(rate * run.scale.rate_s), rate=rate, publishers=RATE_PUBLISHERS)
    except LoadFailed as failure:
        run.ledger.notes.append(f"{server.peer.name} at {rate} publications/s: {failure}")
        return None
    note_cost(run, f"rate-{rate}", server.peer, answer)
    return answer


def per_delivery_us(answer: Answer) -> float:
    """Processor time of the server for each delivery."""
    return answer.cpu_us / float(answer["deliveries"])


def note_cost(run: Run, scenario: str, peer: Peer, answer: Answer) -> None:
    """Note everything that a publish measured, and what the generator itself needed."""
    deliveries, wall_s = answer["deliveries"], answer["wall_s"]
    run.ledger.add(
        scenario, peer.name,
        cpu_us=per_delivery_us(answer), p50_us=answer["p50_us"], p99_us=answer["p99_us"], p999_us=answer["p999_us"],
        per_second=deliveries / wall_s, frames_per_read=deliveries / max(answer["reads"], 1),
        generator_us=answer["own_cpu_s"] * 1e6 / deliveries, generator_idle=answer["idle_s"] / wall_s,
        server_share=answer["server_cpu_s"] / wall_s,
    )  # fmt: skip
