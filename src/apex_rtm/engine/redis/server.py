"""One Redis server of the log: publishing to it, listening to it, and reading what is followed there."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from apex_rtm.engine.redis.commands import Commands
from apex_rtm.engine.redis.scripts import Outgoing
from apex_rtm.engine.redis.topics import Topics
from apex_rtm.engine.redis.wire import ELSEWHERE, Command, Lost, Wire
from apex_rtm.errors import Unavailable
from apex_rtm.redis_url import Address

_MOST_AT_ONCE: Final = 500
_PAUSE_S: Final = 0.1


@dataclass(slots=True, eq=False)
class Sending:
    """A message until its result is known. `deadline` is in seconds of the loop."""

    message: Outgoing
    command: Callable[[], Command]
    deadline: float
    done: asyncio.Future[Any]


class Server:
    """One address. `sort_out` finds what has gone to another server; `on_reply` sees each answer before the sender."""

    def __init__(
        self, address: Address, connect: Callable[[Address], Awaitable[Wire]], *, sharded: bool, timeout_s: float,
        on_message: Callable[[bytes, bytes], None], on_up: Callable[[Server], None],
        on_down: Callable[[Server], None], on_reply: Callable[[Outgoing, list[Any]], Any],
        sort_out: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        self.address = address
        self.commands = Commands(lambda: connect(address), timeout_s)
        self.subscribed: set[str] = set()
        self.down: str | None = None  # why it cannot be reached
        self.refusal: str | None = None  # why it did not take the last publication
        self._on_up = on_up
        self._on_down = on_down
        self._on_reply = on_reply
        self._sort_out = sort_out
        self._outgoing: deque[Sending] = deque()
        self._sender: asyncio.Task[None] | None = None
        self.topics = Topics(
            lambda: connect(address), sharded=sharded, timeout_s=timeout_s,
            on_message=on_message, on_up=self._up, on_down=self._down,
        )  # fmt: skip

    @property
    def trouble(self) -> str | None:
        """What is wrong, or None."""
        return self.down or self.refusal

    def _up(self) -> None:
        self.down = None
        self._on_up(self)

    def _down(self, why: str) -> None:
        self.subscribed.clear()
        self.down = f"Redis: {why}"
        self._on_down(self)

    # ── publishing ──

    def send(self, sendings: Iterable[Sending]) -> None:
        """Publish in this order, with whatever else waits."""
        self._outgoing.extend(sendings)
        if self._sender is None and self._outgoing:
            self._sender = asyncio.create_task(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._outgoing:
                taken = [self._outgoing.popleft() for _ in range(min(len(self._outgoing), _MOST_AT_ONCE))]
                try:
                    replies = await self.commands.call([sending.command() for sending in taken])
                except Lost as lost:
                    self.down = f"Redis: {lost}"
                    await self._try_again(taken, str(lost))
                    continue
                except asyncio.CancelledError:  # another server takes them over
                    self._outgoing.extendleft(reversed(taken))
                    raise
                again = [s for s, reply in zip(taken, replies, strict=True) if not self._settle(s, reply)]
                if again:
                    await self._try_again(again, "Redis is being rearranged")
        finally:
            self._sender = None

    async def _try_again(self, sendings: list[Sending], why: str) -> None:
        """Keep what still has time, in front: its place in the order of its channel, and the same id."""
        now = asyncio.get_running_loop().time()
        left = []
        for sending in sendings:
            if sending.deadline > now:
                left.append(sending)
            elif not sending.done.done():
                hint = "it may have been published; repeat it with the same id"
                sending.done.set_result(Unavailable(f"Redis does not answer in time ({why}); {hint}"))
        if left:
            await asyncio.sleep(_PAUSE_S)
            self._outgoing.extendleft(reversed(left))
            await self._sort_out()

    def _settle(self, sending: Sending, reply: Any) -> bool:
        """Pass a reply on; False when the message must be sent again."""
        if isinstance(reply, ELSEWHERE):
            return False
        if isinstance(reply, Exception):
            self.refusal = f"Redis refuses to write: {reply}"
            result: Any = Unavailable(self.refusal)
        else:
            self.refusal = None
            result = self._on_reply(sending.message, reply)
        if not sending.done.done():
            sending.done.set_result(result)
        return True

    def take_outgoing(self) -> list[Sending]:
        """Give up what is not sent yet, for another server."""
        taken, self._outgoing = list(self._outgoing), deque()
        return taken

    async def finish(self) -> None:
        """Wait until everything that was accepted has a result."""
        while self._sender is not None:
            await asyncio.gather(self._sender, return_exceptions=True)

    async def close(self) -> None:
        """End both connections; what is still outgoing stays with the caller."""
        await self.topics.close()
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        await self.commands.close()
