"""The server's real publisher, log and idempotency, without a network; it fails on command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from apex_rtm.engine.journal import Entry
from apex_rtm.engine.memory import MemoryEngine
from apex_rtm.errors import RtmError
from apex_rtm.message import Published
from apex_rtm.publish import Publisher
from apex_rtm.relay.door import NotNow, Rejected, Verdict
from apex_rtm.relay.http import read_answer
from apex_rtm.relay.row import encode_batch
from apex_rtm.revocations import Revocation
from tests.relay.fake_database import no_pause
from tests.support.clock import FakeClock
from tests.support.core import make_journal


class FakeServer:
    """What was delivered to subscribers is in `delivered`, in order: (channel, id, epoch, offset)."""

    def __init__(self, *, max_message_bytes: int = 2000, max_batch_messages: int = 1000) -> None:
        self.clock = FakeClock()
        self.delivered: list[tuple[str, str, str, int]] = []
        self.engine = MemoryEngine(make_journal(idempotency_window_s=300), self.clock)
        self.engine._listener = self
        self.publisher = Publisher(
            self.engine, self.clock, max_message_bytes=max_message_bytes, max_batch_messages=max_batch_messages,
            max_json_depth=8, publish_rate=0,
        )  # fmt: skip

    def on_published(self, entries: Sequence[Entry]) -> None:
        self.delivered += [(e.channel, e.id, e.position.epoch, e.position.offset) for e in entries]

    def on_question(self, question: bytes) -> bytes:
        raise AssertionError(question)

    def on_revoked(self, revocation: Revocation) -> None:
        raise AssertionError(revocation)

    def on_attendance(self, channel: str, node: str, connections: int, users: Mapping[str, int]) -> None:
        raise AssertionError(channel)

    def on_node_gone(self, node: str) -> None:
        raise AssertionError(node)

    def on_unfollowed(self, channel: str) -> None:
        raise AssertionError(channel)

    def on_lost(self, channel: str | None) -> None:
        raise AssertionError(f"{channel} was lost")

    async def answer(self, body: bytes) -> tuple[int, bytes]:
        """What POST /api/broadcast/batch is answered with."""
        try:
            results = await self.publisher.publish_batch(body)
        except RtmError as error:
            return error.http_status, _encode(error)
        return 200, b'{"ok":true,"results":[%b]}' % b",".join(map(_encode, results))


def _encode(result: Published | RtmError) -> bytes:
    if isinstance(result, RtmError):
        return msgspec.json.encode({"ok": False, "code": result.code, "message": result.message})
    position = result.position
    return msgspec.json.encode({"ok": True, "id": result.id, "epoch": position.epoch, "offset": position.offset})


def failure(status: int, code: str) -> tuple[int, bytes]:
    """An answer that refuses the request as a whole."""
    return status, msgspec.json.encode({"ok": False, "code": code, "message": "on command"})


FAULTS = {
    "503": failure(503, "unavailable"),
    "401": failure(401, "unauthorized"),
    "429": failure(429, "rate_limited"),
    "500": failure(500, "internal"),
    "login page": (200, b"<html>please log in</html>"),
    "plain 400": (400, b"<html>The plain HTTP request was sent to HTTPS port</html>"),
}


class FakeDoor:
    """See `Door`. `faults` are used up one by one: keys of FAULTS, 'down', 'lost' (published, but never answered)
    and 'partly' (the first message is taken, the others are not, by no fault of theirs)."""

    def __init__(self, server: FakeServer, pause: Callable[[Any], Awaitable[None]] = no_pause) -> None:
        self.faults: list[str] = []
        self.requests: list[int] = []
        self._server = server
        self._pause = pause

    async def publish(self, messages: list[bytes]) -> list[Verdict]:
        await self._pause("publish")
        self.requests.append(len(messages))
        fault = self.faults.pop(0) if self.faults else None
        if fault == "down":
            raise NotNow("connection refused")
        if fault in FAULTS:
            return read_answer(*FAULTS[fault], len(messages))
        if fault == "partly":
            status, body = await self._server.answer(encode_batch(self.write(messages[:1])))
            refused = [Rejected("unavailable", "the disk is full") for _ in messages[1:]]
            return [*read_answer(status, body, 1), *refused]
        status, body = await self._server.answer(encode_batch(self.write(messages)))
        if fault == "lost":
            raise NotNow("no answer in time")
        return read_answer(status, body, len(messages))

    def write(self, messages: list[bytes]) -> list[bytes]:
        """What goes over the wire; a planted fault changes it."""
        return messages

    async def close(self) -> None:
        pass
