"""The console at /console: what this node does, live, for whoever looks after it. docs/console.md shows it.

Its page is a client of the project's own WebSocket, with a pass that no application can make (see `passes`).
"""

from __future__ import annotations

import asyncio
import heapq
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from apex_rtm import __version__
from apex_rtm.channels import check_channel
from apex_rtm.console.door import Door, Handler
from apex_rtm.console.figures import Figures
from apex_rtm.console.receipt import ask_arrival, find_entry, receipt_of
from apex_rtm.departures import Departures
from apex_rtm.edge.guard import Proxies
from apex_rtm.edge.http import MAX_LISTED, Api, whole_number
from apex_rtm.engine.journal import Entry
from apex_rtm.errors import Refused
from apex_rtm.metrics.node import Node
from apex_rtm.passes import Passes

_PACKAGE: Final = Path(__file__).resolve().parent
_STATIC: Final = _PACKAGE / "static"
_DEPARTURES: Final = 10_000
_INTERVAL_S: Final = 1.0
CHART_FILES: Final = ("uPlot.iife.min.js", "uPlot.min.css")
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Console:
    """The console of one node. `key` is None in open mode, where everybody on this machine may look."""

    def __init__(self, node: Node, api: Api, key: str | None, proxies: Proxies, namespaces: Sequence[str]) -> None:
        self._node = node
        self._api = api
        self._namespaces = list(namespaces)
        self._figures = Figures(node)
        passes = Passes(key, api.clock)
        self._door = Door(api, passes, proxies, api.clock)
        api.authorizer.passes = passes
        api.hub.departures = Departures(_DEPARTURES, api.clock)

    async def run(self) -> None:
        """Take figures once a second and tell them to whoever looks."""
        while True:
            await asyncio.sleep(_INTERVAL_S)
            self._figures.take(self._api.clock.now())
            self._figures.tell()

    def routes(self) -> list[BaseRoute]:
        """Routes under /console."""
        api, door = self._api, self._door
        looking: dict[str, Handler] = {
            "about": self._about,
            "figures": self._history,
            "users": self._users,
            "receipt": self._receipt,
            "channels": api.channels,
            "connections": api.connections,
            "channels/{channel:channel}/history": api.history,
            "channels/{channel:channel}/presence": api.presence,
        }
        doing: dict[str, Handler] = {"publish": api.broadcast, "revoke": api.revoke, "ask": self._ask}
        return [
            *[_route(f"api/{name}", door.guard(handler)) for name, handler in looking.items()],
            *[_route(f"api/{name}", door.guard(handler, changes=True), "POST") for name, handler in doing.items()],
            _route("api/session", door.session),
            *[_route(f"api/{name}", handler, "POST") for name, handler in door.posts.items()],
            *page_routes(),
        ]

    async def _about(self, _request: Request) -> Response:
        node = self._node
        return _json(
            {
                "ok": True,
                "version": __version__,
                "node": socket.gethostname(),
                "engine": node.engine,
                "mode": node.mode,
                "namespaces": self._namespaces,
                "needsLogin": self._door.needs_login,
                "connectionsLimit": node.quota.total,
                "logBytesLimit": node.log_max_bytes,
                "pingIntervalS": node.ping_interval_s,
                "hasCharts": find_charts() is not None,
            }
        )

    async def _history(self, _request: Request) -> Response:
        return _json({"ok": True, **self._figures.history()})

    async def _users(self, request: Request) -> Response:
        """GET /console/api/users?search=&limit=: those with the most connections first."""
        limit = whole_number(request, "limit", 100, MAX_LISTED)
        search = request.query_params.get("search", "").casefold()
        users = self._node.quota.users
        found = [(count, name) for name, count in users.items() if search in name.casefold()]
        best = heapq.nlargest(limit, found)
        listed = [{"user": name, "connections": count} for count, name in best]
        return _json({"ok": True, "users": listed, "more": len(found) > limit, "total": len(users)})

    async def _receipt(self, request: Request) -> Response:
        """GET /console/api/receipt?channel=&offset=&epoch=&id=&user=&limit=."""
        entry = self._entry(request)
        if entry is None:
            return _json({"ok": True, "found": False})
        limit = whole_number(request, "limit", 200, MAX_LISTED)
        known = receipt_of(self._api.hub, entry, request.query_params.get("user"), limit)
        epoch, offset = entry.position
        message = {"channel": entry.channel, "epoch": epoch, "offset": offset, "id": entry.id, "at": entry.at}
        return _json({"ok": True, "found": True, "message": message, **known})

    async def _ask(self, request: Request) -> Response:
        """POST /console/api/ask, with the parameters of a receipt: ping them now."""
        entry = self._entry(request)
        asked = 0 if entry is None else ask_arrival(self._api.hub, entry, request.query_params.get("user"))
        return _json({"ok": True, "asked": asked})

    def _entry(self, request: Request) -> Entry | None:
        params = request.query_params
        channel = params.get("channel", "")
        check_channel(channel)
        offset = whole_number(request, "offset", 0, 2**63) if params.get("offset") else None
        return find_entry(self._api.hub, channel, params.get("epoch"), offset, params.get("id"))


def page_routes() -> list[BaseRoute]:
    """The page and what it loads. The chart library is served where it is installed."""
    files = {path.name: path for path in sorted(_STATIC.iterdir())}
    page = _file(files.pop("console.html"))
    charts = find_charts()
    return [
        Route("/console", page),
        Route("/console/", page),
        *[_route(f"static/{name}", _file(path)) for name, path in files.items()],
        *([] if charts is None else [_route(f"charts/{name}", _file(charts / name)) for name in CHART_FILES]),
    ]


def missing_routes() -> list[BaseRoute]:
    """What is served in place of a console that has no key."""

    async def explain(_request: Request) -> Response:
        raise Refused("not_found", "there is no console: set console_key (docs/console.md)")

    return [Route("/console", explain)]


def find_charts() -> Path | None:
    """In a wheel the chart library travels inside the package; in a checkout npm has put it into node_modules."""
    for folder in (_PACKAGE / "charts", _PACKAGE.parent.parent.parent / "node_modules" / "uplot" / "dist"):
        if all((folder / name).is_file() for name in CHART_FILES):
            return folder
    return None


def _route(path: str, handler: Handler, method: str = "GET") -> Route:
    async def answer(request: Request) -> Response:
        response = await handler(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if path.startswith("api/"):
            response.headers["Cache-Control"] = "no-store"
        return response

    return Route(f"/console/{path}", answer, methods=[method])


def _file(path: Path) -> Handler:
    async def serve(_request: Request) -> Response:
        return FileResponse(path, headers=HEADERS)

    return serve


def _json(body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
