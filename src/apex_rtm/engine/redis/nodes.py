"""The nodes among themselves: who is there, questions to all of them, and rights that were taken away."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Final

import msgspec

from apex_rtm.clock import Clock
from apex_rtm.engine.base import Answers, EngineListener
from apex_rtm.engine.redis.layout import Layout
from apex_rtm.engine.redis.scripts import BEAT_SHA
from apex_rtm.engine.redis.servers import Servers
from apex_rtm.engine.redis.wire import Lost
from apex_rtm.errors import Unavailable
from apex_rtm.log import get_logger
from apex_rtm.revocations import Revocation

_log = get_logger(__name__)
BEAT_S: Final = 3.0
_LEASE_MS: Final = 10_000
_ANSWER_TIMEOUT_S: Final = 1.0


class _Call(msgspec.Struct, array_like=True):
    node: str
    number: int
    body: bytes


class _Scope(msgspec.Struct, array_like=True, frozen=True):
    user: str | None
    session_id: str | None
    channel: str | None


_decode_call = msgspec.json.Decoder(_Call).decode
_decode_scope = msgspec.json.Decoder(_Scope).decode
_encode = msgspec.json.encode


class Nodes:
    """One node among the others. Everything lies in the first partition."""

    def __init__(
        self, layout: Layout, servers: Servers, clock: Clock, announce: str, *, revocation_keep_s: float
    ) -> None:
        self.name = secrets.token_urlsafe(9)
        self.topics = (layout.call_topic, layout.answer_topic(self.name))
        self.revocations: list[Revocation] = []
        self._layout = layout
        self._servers = servers
        self._clock = clock
        self._announce = announce
        self._keep_s = revocation_keep_s
        self._listener: EngineListener | None = None
        self._heard_of: dict[str, float] = {}  # nodes that may yet renew their lease, since when in seconds of the loop
        self.on_gone: Callable[[str], None] = lambda _: None
        self._others: set[str] = set()
        self._unsure_until = 0.0
        self._known_revocations = 0
        self._numbers = 0
        self._asked: dict[int, tuple[list[bytes], int, asyncio.Event]] = {}
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self, listener: EngineListener) -> None:
        """Say that this node is there, and learn what is in force. Raises Lost."""
        await self._beat()
        self.revocations = await self._read_revocations()
        self._listener = listener

    async def run(self) -> None:
        """For ever: say that this node is there."""
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await self._beat()
            except Lost:
                # Nobody can renew its lease. When Redis is back, the others get the time to do it.
                self._unsure_until = self._clock.monotonic() + BEAT_S + _LEASE_MS / 1000

    async def stop(self) -> None:
        """Say goodbye, so that nobody waits for the lease to end."""
        for task in self._answering:
            task.cancel()
        try:
            await self._call([("ZREM", self._layout.nodes_key, self.name)])
            await self._tell(self._layout.call_topic, _Call(self.name, 0, b"bye"))
        except Lost:
            return

    async def _call(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        replies = await self._servers.of(0).server.commands.call(commands)
        refusal = next((reply for reply in replies if isinstance(reply, Exception)), None)
        if refusal is not None:
            raise Lost(str(refusal))
        return replies

    async def _tell(self, topic: str, call: _Call) -> None:
        await self._call([(self._announce, topic, _encode(call))])

    async def _beat(self) -> None:
        keys = (self._layout.nodes_key, self._layout.revoked_key)
        ((names, revocations),) = await self._call([("EVALSHA", BEAT_SHA, 2, *keys, self.name, _LEASE_MS)])
        there = {name.decode() for name in names} - {self.name}
        if self._clock.monotonic() < self._unsure_until:
            there |= self._others
        horizon = asyncio.get_running_loop().time() - 2 * BEAT_S
        self._heard_of = {name: at for name, at in self._heard_of.items() if at > horizon}
        there |= self._heard_of.keys()
        for gone in self._others - there:
            self._on_gone(gone)
        self._others = there
        await self._learn(int(revocations))

    async def catch_up(self) -> None:
        """Be there again, and learn which rights were taken away while this node heard nothing. Raises Lost."""
        await self._beat()

    async def _learn(self, revocations: int) -> None:
        if revocations != self._known_revocations and self._listener is not None:
            for revocation in await self._read_revocations():
                self._listener.on_revoked(revocation)

    def know(self, node: str) -> None:
        """Somebody was heard of, perhaps long ago: gone, unless it renews its lease in time."""
        if node not in self._others:
            self._others.add(node)
            self._heard_of[node] = asyncio.get_running_loop().time()

    def _on_gone(self, node: str) -> None:
        self.on_gone(node)
        if self._listener is not None:
            self._listener.on_node_gone(node)

    # ── questions ──

    async def ask_others(self, question: bytes) -> Answers:
        """See `Engine.ask_others`."""
        asked = len(self._others)
        if not asked:
            return Answers([], 0)
        self._numbers += 1
        number = self._numbers
        answers: list[bytes] = []
        complete = asyncio.Event()
        self._asked[number] = (answers, asked, complete)
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                await self._tell(self._layout.call_topic, _Call(self.name, number, question))
                await complete.wait()
        except (Lost, TimeoutError):
            _log.warning("nodes.incomplete", asked=asked, answered=len(answers))
        finally:
            del self._asked[number]
        return Answers(answers, max(asked, len(answers)))

    def on_call(self, data: bytes) -> None:
        """Another node asks, or says goodbye."""
        call = _decode_call(data)
        if call.node == self.name or self._listener is None:
            return
        if call.number == 0:
            self._others.discard(call.node)
            self._heard_of.pop(call.node, None)
            self._on_gone(call.node)
            return
        self._others.add(call.node)
        answer = _Call(self.name, call.number, self._listener.on_question(call.body))
        task = asyncio.create_task(self._answer(call.node, answer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, node: str, answer: _Call) -> None:
        try:
            await self._tell(self._layout.answer_topic(node), answer)
        except Lost as lost:
            _log.warning("nodes.not_answered", reason=str(lost))

    def on_answer(self, data: bytes) -> None:
        """Another node answers."""
        call = _decode_call(data)
        if call.number in self._asked:
            answers, asked, complete = self._asked[call.number]
            answers.append(call.body)
            if len(answers) >= asked:
                complete.set()

    # ── rights ──

    async def revoke(self, revocation: Revocation) -> None:
        """Write a revocation down, for nodes that come later or hear nothing just now. Raises Unavailable."""
        scope = _Scope(revocation.user, revocation.session_id, revocation.channel)
        key = self._layout.revoked_key
        try:
            await self._call([("HSET", key, _encode(scope), str(revocation.at)), ("HINCRBY", key, "#", 1)])
        except Lost as lost:
            raise Unavailable(f"the revocation cannot be written: {lost}") from lost

    async def _read_revocations(self) -> list[Revocation]:
        """All in force; those that no valid token is older than are dropped."""
        (flat,) = await self._call([("HGETALL", self._layout.revoked_key)])
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        known = int(fields.pop(b"#", 0))
        horizon = self._clock.now() - self._keep_s
        old = [scope for scope, at in fields.items() if float(at) <= horizon]
        if old:
            await self._call([("HDEL", self._layout.revoked_key, *old)])
        found = [(_decode_scope(scope), float(at)) for scope, at in fields.items() if scope not in old]
        self._known_revocations = known  # last: what could not be read must be read again
        return [Revocation(scope.user, scope.session_id, scope.channel, at) for scope, at in found]
