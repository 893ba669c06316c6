"""permessage-deflate, where it is negotiated: does a publication cost one compression or one for each subscriber?"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final
from urllib.request import Request, urlopen

from websockets.sync.client import connect

from bench.generator import LoadFailed
from bench.peer import Peer, Server, text_of
from bench.plan import Run
from bench.scenario.delivery import per_delivery_us

SUBSCRIBERS: Final = 1000
VALUE_BYTES: Final = 2000
_PATIENCE_S: Final = 10
_SWITCHED_ON: Final[dict[str, dict[str, Any]]] = {"apex-rtm": {"compression": True}, "node-ws": {"deflate": 1}}


def compressed(run: Run) -> None:
    """The same messages of 2,000 bytes, with the extension offered and without."""
    for round_number in range(run.scale.rounds):
        for peer in run.those(*_SWITCHED_ON):
            run.attempt(f"deflate, round {round_number + 1}: {peer.name:12}", partial(_turn, run, peer))


def _turn(run: Run, peer: Peer) -> str:
    text = []
    for offered in (False, True):
        for subscribers in (1, SUBSCRIBERS):
            cost = _cost_us(run, peer, subscribers, offered=offered)
            if cost is None:
                text.append("not negotiated")
                continue
            name = f"{'deflate' if offered else 'plain'}-{subscribers}"
            run.ledger.add(name, peer.name, cpu_us=cost)
            text.append(f"{name} {cost:.1f} µs")
    return ", ".join(text)


def _arrives_whole(server: Server) -> bool:
    """Let another implementation read one compressed message: the generator counts such frames and does not inflate."""
    wanted = {"value": text_of(VALUE_BYTES)}
    with connect(f"ws://127.0.0.1:{server.port}/", max_size=None) as client:
        if server.peer.script is not None:
            client.send(server.peer.script(0))
            client.recv(timeout=_PATIENCE_S)
        body = json.dumps({"channel": "test", "eventName": "ping", "payload": wanted}).encode()
        url = f"http://127.0.0.1:{server.http_port}/api/broadcast"
        urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=_PATIENCE_S).close()
        message = json.loads(client.recv(timeout=_PATIENCE_S))
        return bool(client.protocol.extensions) and message["payload"] == wanted


def _cost_us(run: Run, peer: Peer, subscribers: int, *, offered: bool) -> float | None:
    publications = run.scale.publishes // 3 if subscribers == 1 else max(run.scale.deliveries // subscribers // 2, 8)
    options: dict[str, Any] = {"deflate": 1} if offered else {}
    with Server(peer, **(_SWITCHED_ON[peer.name] if offered else {})) as server:
        opened = server.subscribe(subscribers, **options)
        if offered and opened["deflated"] != subscribers:
            return None
        if offered and not _arrives_whole(server):
            raise LoadFailed("what was compressed is not what was published")
        body = peer.body(value_bytes=VALUE_BYTES)
        server.publish(max(publications // 4, 4), body)
        answer = server.publish(publications, body)
        run.ledger.add(
            f"{'deflate' if offered else 'plain'}-{subscribers}",
            peer.name,
            frame_bytes=answer["bytes"] / answer["deliveries"],
        )
        return per_delivery_us(answer)
