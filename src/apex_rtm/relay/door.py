"""Where the relay's messages go: to a server over HTTP (`http.py`), or into the server that it runs in (`local.py`)."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

NOT_NOW: Final = frozenset({"unavailable", "rate_limited", "limit_exceeded", "internal", "timeout"})
"""Codes that are not the message's fault (docs/protocol.md, section 9): they change no row."""


class Taken(NamedTuple):
    """The message is in the server's log, at this position of its channel."""

    epoch: str
    offset: int


class Rejected(NamedTuple):
    """The server does not take this message; the code says whose fault that is."""

    code: str
    message: str


Verdict = Taken | Rejected


class BatchRejected(Exception):
    """The request as a whole is at fault (400, 413): one of its messages, or all of them together."""


class NotNow(Exception):
    """Nothing is known to have been published, and no message is to blame: no answer, 401, 429, 5xx, a foreign page."""


class Door(Protocol):
    """Takes batches, in order; one at a time."""

    async def publish(self, messages: list[bytes]) -> list[Verdict]:
        """Publish encoded messages; one verdict each. Raises BatchRejected, NotNow; answers within a bounded time."""
        ...

    async def close(self) -> None:
        """Let go of the connection, if there is one."""
        ...
