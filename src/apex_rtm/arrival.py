"""How far a connection is known to have come: proved by an answered ping, at no cost for a delivery.

A WebSocket answers a ping with its payload (RFC 6455, 5.5.3), and everything on a connection stays in order. So a ping
that carries the place in the journal up to which publications were written proves, when its pong arrives, that all of
them have arrived in the browser. It does not prove that a page did anything with them, or a person.
"""

from __future__ import annotations

from typing import Final

_MAX_ASKED: Final = 8  # pings on their way; a peer that answers none of them is closed as idle after two intervals


class Arrival:
    """What one connection has been asked and has answered. Places are sequence numbers of the journal; 0 is none."""

    __slots__ = ("_asked", "seq")

    def __init__(self) -> None:
        self.seq = 0
        """Everything that was written to the connection up to here has arrived."""
        self._asked: list[int] = []

    def ask(self, seq: int) -> bytes:
        """Make a ping frame for what is written up to `seq`."""
        if len(self._asked) < _MAX_ASKED:
            self._asked.append(seq)
        payload = b"%d" % seq
        return bytes((0x89, len(payload))) + payload

    def on_pong(self, payload: bytes) -> None:
        """Take an answer. What was not asked proves nothing: a peer may send pongs whenever it likes."""
        if not payload.isdigit() or len(payload) > 20:
            return
        seq = int(payload)
        if seq in self._asked:
            # Those before it need not be answered any more (RFC 6455, 5.5.3).
            del self._asked[: self._asked.index(seq) + 1]
            self.seq = max(self.seq, seq)

    def forget(self) -> None:
        """Begin anew: a replay writes what is older than what was asked about."""
        self.seq = 0
        self._asked.clear()
