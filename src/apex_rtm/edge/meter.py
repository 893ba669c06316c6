"""Counts HTTP requests by route and status class, in front of everything else, open mode's wall too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import perf_counter
from typing import Final

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apex_rtm.clock import Clock
from apex_rtm.counts import Counts, Tally

OTHER: Final = "other"
"""What matches no route: a label must not be made of what somebody typed."""
_PROBE_S: Final = 0.2


class Meter:
    """An ASGI application around another. A route is named by its template, pages below one folder by the folder."""

    def __init__(self, app: ASGIApp, counts: Counts, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._counts = counts
        self._names = {route.endpoint: _name(route.path) for route in routes if isinstance(route, Route)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and note how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        began = perf_counter()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            name = self._names.get(scope["endpoint"], OTHER) if "endpoint" in scope else OTHER
            self._counts.count_request(name, status, perf_counter() - began)


async def watch_lag(lag: Tally, clock: Clock) -> None:
    """Sleep a little and see how much longer it took: what every connection waits when something holds the loop."""
    while True:
        due = clock.monotonic() + _PROBE_S
        await asyncio.sleep(_PROBE_S)
        lag.observe(max(0.0, clock.monotonic() - due))


def _name(path: str) -> str:
    first = path.split("/")[1]
    if first in ("demo", "console"):
        return f"/{first}"
    return path.replace(":channel}", "}")
