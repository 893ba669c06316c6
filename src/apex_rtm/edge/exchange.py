"""One publication over HTTP without a framework between the parser and the door: what publishers do all day.

ASGI costs more than all the rest of a publication: a scope, an event, a router, a chain of wrappers for each one. An
`Exchange` takes the place of uvicorn's request cycle for the few paths in `Doors`; it keeps the same promises, of
order among pipelined requests, of limits in size and time, and of an answer in one form whatever happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import msgspec

from apex_rtm.counts import Counts
from apex_rtm.errors import Refused, RtmError
from apex_rtm.log import get_logger

Headers = Sequence[tuple[bytes, bytes]]
Door = Callable[[bytes], Awaitable[bytes]]

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Doors:
    """What is answered in this way: by path, the JSON for a body.

    A door may not use what needs the current task before it waits for something; see `drive`. `admit` raises RtmError
    for whoever may not. While the server runs it says the same of the same headers, whatever the length of the body.
    """

    by_path: Mapping[bytes, Door]
    admit: Callable[[Headers], None]
    counts: Counts
    max_body_bytes: int
    body_timeout_s: float


class Line(Protocol):
    """The connection that an exchange belongs to."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, at once as far as it has nothing to wait for; the server does not stop before it is done."""
        ...

    def go_on_reading(self) -> None:
        """The body may be longer than what was read."""
        ...

    def answer(self, status: int, body: bytes, *, keep_alive: bool) -> None:
        """Write the response, then turn to the next request or close."""
        ...


class Exchange:
    """A request and its response. uvicorn's parser callbacks know it by the attributes of a `RequestResponseCycle`."""

    __slots__ = (
        "_began", "_door", "_doors", "_headers", "_is_running", "_is_turn", "_line", "_path", "_timer", "body",
        "disconnected", "is_taken", "keep_alive", "more_body", "response_complete",
    )  # fmt: skip

    def __init__(self, doors: Doors, path: bytes, headers: Headers, line: Line, *, keep_alive: bool) -> None:
        self.body = bytearray()
        self.more_body = True
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = keep_alive
        self.is_taken = False
        """True from when it is admitted, is here as a whole, and was handed to its door."""
        self._doors = doors
        self._door = doors.by_path[path]
        self._path = path
        self._headers = headers
        self._line = line
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_turn = False
        self._is_running = False

    # ── what the parser calls ──

    @property
    def message_event(self) -> Exchange:
        """What uvicorn sets when a part of the body has come, when all has come, and when the connection is lost."""
        return self

    def set(self) -> None:
        """Look at what has come."""
        if self._is_turn and not self._is_running:
            self._look()

    def start(self) -> None:
        """The requests before this one are answered."""
        self._is_turn = True
        self._began = perf_counter()
        try:
            self._doors.admit(self._headers)
            self._check_size(_declared_bytes(self._headers))
        except RtmError as refused:
            self._refuse(refused)
        else:
            self._look()

    def run(self, body: bytes) -> None:
        """Answer a request that is here as a whole, and whose headers were looked at before."""
        self._began = perf_counter()
        self._is_running = True
        self._line.spawn(self._run(body))

    # ── inside ──

    def _look(self) -> None:
        if self.disconnected:
            self._stop_timer()
        elif len(self.body) > self._doors.max_body_bytes:
            self._refuse(self._too_large(f"over {self._doors.max_body_bytes}"))
        elif not self.more_body:
            self._stop_timer()
            self._is_running = self.is_taken = True
            self._line.spawn(self._run(bytes(self.body)))
        else:
            if self._timer is None:
                timeout_s = self._doors.body_timeout_s
                self._timer = asyncio.get_running_loop().call_later(timeout_s, self._give_up)
            self._line.go_on_reading()

    def _give_up(self) -> None:
        self.keep_alive = False  # the rest of the body will not come
        self._refuse(Refused("timeout", "the body did not arrive in time (body_timeout_s)"))

    def _check_size(self, declared_bytes: int) -> None:
        if declared_bytes > self._doors.max_body_bytes:
            raise self._too_large(str(declared_bytes))

    def _too_large(self, size: str) -> Refused:
        limit = self._doors.max_body_bytes
        return Refused("too_large", f"the body has {size} bytes, at most {limit} are allowed (max_body_bytes)")

    async def _run(self, body: bytes) -> None:
        try:
            answer = await self._door(body)
        except RtmError as refused:
            self._refuse(refused)
        except Exception as error:  # noqa: BLE001 - whatever it is, the publisher gets an answer
            _log.error("request.failed", exc_info=error)
            self._answer(500, _failure("internal", "the server failed; its log has the details"))
        else:
            self._answer(200, answer)

    def _refuse(self, refused: RtmError) -> None:
        self._doors.counts.refusals["http", refused.code] += 1
        self._answer(refused.http_status, _failure(refused.code, refused.message))

    def _answer(self, status: int, body: bytes) -> None:
        self._stop_timer()
        self._is_running = True
        self.response_complete = True
        self.body = bytearray()  # the connection may be idle for long now, with this exchange in its hands
        self._doors.counts.count_request(self._path.decode(), status, perf_counter() - self._began)
        if not self.disconnected:
            self._line.answer(status, body, keep_alive=self.keep_alive)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _declared_bytes(headers: Headers) -> int:
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and len(value) < 20:
            return int(value)
    return 0


def _failure(code: str, message: str) -> bytes:
    return msgspec.json.encode({"ok": False, "code": code, "message": message})
