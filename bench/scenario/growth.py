"""Growth curves: what should be flat, and what should be a straight line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from bench.contestants import connect_and_subscribe
from bench.peer import Peer, Server, batch_of
from bench.plan import Run
from bench.scenario.delivery import per_delivery_us

_COMPARED: Final = ("apex-rtm", "c-limit", "node-ws")
_SIZED_SUBSCRIBERS: Final = 200
_CONNECTIONS: Final = 1000
_BATCH: Final = 100


def _in_rounds(run: Run, what: str, names: tuple[str, ...], turn: Callable[[Run, Peer], str]) -> None:
    for _ in range(max(run.scale.rounds - 1, 1)):
        for peer in run.those(*names):
            run.attempt(f"growth by {what}: {peer.name:12}", partial(turn, run, peer))


def subscribers(run: Run) -> None:
    """Cost of a delivery against the number of subscribers; the POST itself is shared by them."""
    _in_rounds(run, "subscribers", _COMPARED, _by_subscribers)


def _by_subscribers(run: Run, peer: Peer) -> str:
    costs: list[str] = []
    with Server(peer) as server:
        there = 0
        for count in run.scale.subscribers:
            server.subscribe(count - there)
            there = count
            publications = min(max(run.scale.deliveries // 2 // count, 5), 1000)
            server.publish(max(publications // 4, 3))
            _note(run, "subscribers", peer, count, per_delivery_us(server.publish(publications)), costs)
    return ", ".join(costs)


def message_sizes(run: Run) -> None:
    """Cost of a delivery against the size of the message, with 200 subscribers."""
    _in_rounds(run, "message size", _COMPARED, _by_size)


def _by_size(run: Run, peer: Peer) -> str:
    costs: list[str] = []
    with Server(peer) as server:
        server.subscribe(_SIZED_SUBSCRIBERS)
        for size in run.scale.message_bytes:
            body = peer.body(value_bytes=size)
            publications = 100 if size <= 10_000 else 20
            server.publish(publications // 4, body)
            _note(run, "messages", peer, size, per_delivery_us(server.publish(publications, body)), costs)
    return ", ".join(costs)


def connections_per_user(run: Run) -> None:
    """Cost of a delivery on the channel of a user who has many tabs open, among a thousand connections."""
    _in_rounds(run, "connections of a user", ("apex-rtm",), _by_user)


def _by_user(run: Run, peer: Peer) -> str:
    costs: list[str] = []
    for each in run.scale.user_connections:
        with Server(peer, secured=True) as server:
            users = _CONNECTIONS // each
            server.subscribe(users * each, _tabs_of(users))
            publications = max(run.scale.publishes // 2 // each, 50)
            body = peer.body(channel="user:U@@@@@@")
            options: dict[str, Any] = {"fanout": each, "channels": users, "slot": "@" * 6}
            server.publish(publications // 3, body, **options)
            _note(run, "user", peer, each, per_delivery_us(server.publish(publications, body, **options)), costs)
    return ", ".join(costs)


def _tabs_of(users: int) -> Callable[[int], str]:
    def script(number: int) -> str:
        user = f"U{number % users:06d}"
        return connect_and_subscribe(user, f"user:{user}")

    return script


def history_length(run: Run) -> None:
    """Cost of a publish against the length of the channel's history, once it is full."""
    _in_rounds(run, "history length", ("apex-rtm",), _by_history)


def _by_history(run: Run, peer: Peer) -> str:
    costs: list[str] = []
    for length in run.scale.history:
        with Server(peer, history_size=length) as server:
            server.subscribe(1)
            filling = batch_of(peer.body(), _BATCH)
            server.publish(length // _BATCH + 1, filling, batch=_BATCH, path="/api/broadcast/batch")
            server.publish(run.scale.publishes // 4)
            answer = server.publish(run.scale.publishes // 2)
            _note(run, "history", peer, length, answer.cpu_us / (run.scale.publishes // 2), costs)
    return ", ".join(costs)


def _note(run: Run, curve: str, peer: Peer, x: int, cost_us: float, costs: list[str]) -> None:
    run.ledger.point(curve, peer.name, x, cost_us)
    costs.append(f"{x:,}: {cost_us:.1f} µs")
