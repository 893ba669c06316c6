"""Listening to one server: one subscribed connection, watched over, and made anew when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from apex_rtm.engine.redis.wire import Lost, Wire
from apex_rtm.log import get_logger

_log = get_logger(__name__)
_PING_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 1.0
_TOPICS_AT_ONCE: Final = 200


class Topics:
    """`on_message(topic, data)` for what comes; `on_up()` when a new connection has no topics yet; `on_down(why)`."""

    def __init__(
        self, connect: Callable[[], Awaitable[Wire]], *, sharded: bool, timeout_s: float,
        on_message: Callable[[bytes, bytes], None], on_up: Callable[[], None], on_down: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._connect = connect
        self._prefix = "S" if sharded else ""
        self._timeout_s = timeout_s
        self._on_message = on_message
        self._on_up = on_up
        self._on_down = on_down
        self._wire: Wire | None = None
        self._heard_at = 0.0
        self._awaited: dict[bytes, asyncio.Future[None]] = {}
        self._leaving: set[bytes] = set()
        self._task = asyncio.create_task(self._run())

    @property
    def is_up(self) -> bool:
        """Whether there is a connection."""
        return self._wire is not None

    async def subscribe(self, groups: Iterable[list[str]]) -> None:
        """Wait until everything published to these topics arrives. The topics of a group share a tag. Raises Lost."""
        wire = self._wire
        if wire is None:
            raise Lost("there is no connection for announcements")
        loop = asyncio.get_running_loop()
        futures = []
        for group in groups:
            for start in range(0, len(group), _TOPICS_AT_ONCE):
                part = group[start : start + _TOPICS_AT_ONCE]
                futures += [self._awaited.setdefault(topic.encode(), loop.create_future()) for topic in part]
                await wire.send(f"{self._prefix}SUBSCRIBE", *part)
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.gather(*futures)
        except TimeoutError as error:
            wire.close()
            raise Lost(f"{wire.address} does not answer within {self._timeout_s:g} s") from error

    async def unsubscribe(self, topics: list[str]) -> None:
        """Let topics go. A lost connection has none."""
        if self._wire is not None:
            self._leaving.update(topic.encode() for topic in topics)
            with contextlib.suppress(Lost):
                await self._wire.send(f"{self._prefix}UNSUBSCRIBE", *topics)

    async def close(self) -> None:
        """End."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._lose("closed")

    def drop(self) -> None:
        """Let the connection go; another is made."""
        if self._wire is not None:
            self._wire.close()

    async def _run(self) -> None:
        pause_s = 0.05
        while True:
            try:
                wire = await self._connect()
                self._wire, self._heard_at = wire, asyncio.get_running_loop().time()
                pause_s = 0.05
                self._on_up()
                watching = asyncio.create_task(self._watch(wire))
                try:
                    while True:
                        self._take(await wire.receive())
                finally:
                    watching.cancel()
                    wire.close()
            except Lost as lost:
                self._lose(str(lost))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _lose(self, why: str) -> None:
        self._wire = None
        awaited, self._awaited = self._awaited, {}
        self._leaving.clear()
        for future in awaited.values():
            if not future.done():
                future.set_exception(Lost(why))
                future.exception()  # nobody may be waiting any more
        self._on_down(why)

    def _take(self, reply: Any) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if isinstance(reply, Exception):
            raise Lost(str(reply))
        if not isinstance(reply, list):  # the answer to PING while there is no topic
            return
        kind = reply[0]
        if kind in (b"message", b"smessage"):
            try:
                self._on_message(reply[1], reply[2])
            except Exception:  # noqa: BLE001 - one message that cannot be read must not stop the others
                _log.exception("announcement.failed", topic=reply[1].decode(errors="replace"))
        elif kind in (b"subscribe", b"ssubscribe"):
            future = self._awaited.pop(reply[1], None)
            if future is not None and not future.done():
                future.set_result(None)
        elif kind == b"sunsubscribe" and reply[1] not in self._leaving:
            raise Lost("the server gave a part of its topics to another one")
        elif kind in (b"unsubscribe", b"sunsubscribe"):
            self._leaving.discard(reply[1])

    async def _watch(self, wire: Wire) -> None:
        """Ask whether the other end is there: a server that was stopped, or cut off, says and closes nothing."""
        loop = asyncio.get_running_loop()
        pinged_at = 0.0
        while True:
            await asyncio.sleep(_PING_S)
            silent_s = loop.time() - self._heard_at
            if silent_s > self._timeout_s and pinged_at > self._heard_at:  # who was not asked need not speak
                wire.close()
                return
            if silent_s >= _PING_S:
                pinged_at = loop.time()
                try:
                    async with asyncio.timeout(self._timeout_s):
                        await wire.send("PING")
                except (Lost, TimeoutError):
                    wire.close()
                    return
