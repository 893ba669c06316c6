"""Growth curves: what should be flat, and what should be a straight line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bench.contestants import connect_and_subscribe
from bench.peer import Server, batch_of
from bench.plan import Run
from bench.scenario.delivery import per_delivery_us

_COMPARED: Final = ("apex-rtm", "c-limit", "node-ws")
_SIZED_SUBSCRIBERS: Final = 200
_BATCH: Final = 100


def subscribers(run: Run) -> None:
    """Cost of a delivery against the number of subscribers; the POST itself is shared by them."""
    for _ in range(max(run.scale.rounds - 1, 1)):
        for peer in run.those(*_COMPARED):
            with Server(peer) as server:
                there = 0
                for count in run.scale.subscribers:
                    server.subscribe(count - there)
                    there = count
                    publications = min(max(run.scale.deliveries // 2 // count, 5), 1000)
                    server.publish(max(publications // 4, 3))
                    run.ledger.point("subscribers", peer.name, count, per_delivery_us(server.publish(publications)))
            run.say(f"growth by subscribers: {peer.name}")


def message_sizes(run: Run) -> None:
    """Cost of a delivery against the size of the message, with 200 subscribers."""
    for _ in range(max(run.scale.rounds - 1, 1)):
        for peer in run.those(*_COMPARED):
            with Server(peer) as server:
                server.subscribe(_SIZED_SUBSCRIBERS)
                for size in run.scale.message_bytes:
                    body = peer.body(value_bytes=size)
                    publications = 100 if size <= 10_000 else 20
                    server.publish(publications // 4, body)
                    answer = server.publish(publications, body)
                    run.ledger.point("messages", peer.name, size, per_delivery_us(answer))
            run.say(f"growth by message size: {peer.name}")


def connections_per_user(run: Run) -> None:
    """Cost of a delivery on the channel of a user who has many tabs open, among a thousand connections."""
    for _ in range(max(run.scale.rounds - 1, 1)):
        for peer in run.those("apex-rtm"):
            for each in run.scale.user_connections:
                with Server(peer, secured=True) as server:
                    users = 1000 // each
                    server.subscribe(users * each, _tabs_of(users))
                    publications = max(run.scale.publishes // 2 // each, 50)
                    body = peer.body(channel="user:U@@@@@@")
                    options: dict[str, Any] = {"fanout": each, "channels": users, "slot": "@" * 6}
                    server.publish(publications // 3, body, **options)
                    answer = server.publish(publications, body, **options)
                    run.ledger.point("user", peer.name, each, per_delivery_us(answer))
                    run.ledger.point("user-publish", peer.name, each, answer.cpu_us / publications)
            run.say(f"growth by connections of a user: {peer.name}")


def _tabs_of(users: int) -> Callable[[int], str]:
    def script(number: int) -> str:
        user = f"U{number % users:06d}"
        return connect_and_subscribe(user, f"user:{user}")

    return script


def history_length(run: Run) -> None:
    """Cost of a publish against the length of the channel's history, once it is full."""
    for _ in range(max(run.scale.rounds - 1, 1)):
        for peer in run.those("apex-rtm"):
            for length in run.scale.history:
                with Server(peer, history_size=length) as server:
                    server.subscribe(1)
                    filling = batch_of(peer.body(), _BATCH)
                    server.publish(length // _BATCH + 1, filling, batch=_BATCH, path="/api/broadcast/batch")
                    server.publish(run.scale.publishes // 4)
                    answer = server.publish(run.scale.publishes // 2)
                    run.ledger.point("history", peer.name, length, answer.cpu_us / (run.scale.publishes // 2))
            run.say(f"growth by history length: {peer.name}")
