"""The demo at /demo: two pages that stand in for APEX, and the real path of a message between them."""

from __future__ import annotations

import asyncio
import http.client
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from apex_rtm.errors import ConfigurationError
from apex_rtm.extras import install_line

_PACKAGE: Final = Path(__file__).resolve().parent.parent
_STATIC: Final = _PACKAGE / "demo" / "static"
_MAX_FORM_BYTES: Final = 65_536
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self' ws://127.0.0.1:* ws://localhost:*; frame-src 'self'; frame-ancestors 'self'; "
    "base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}

# What a developer types into the Broadcast plug-in's attributes on page 10. They stay on the server: the browser
# sends the item's value and nothing else.
_BROADCASTS: Final = {"BROADCAST_HELLO": {"channel": "test", "eventName": "ping", "itemName": "P10_MESSAGE"}}

# Who is logged in, by session, as APEX knows it: what a browser says of its own name is not believed.
_USERS: Final = {"1": "SCOTT", "2": "KING"}


def demo_routes() -> list[BaseRoute]:
    """Routes under /demo. Raises ConfigurationError where the demo's files are not installed."""
    jquery = _find_jquery()
    client = _find_client()
    return [
        Route("/demo", _file(_STATIC / "demo.html")),
        Route("/demo/page", _file(_STATIC / "page.html")),
        Route("/demo/jquery.js", _file(jquery)),
        Route("/demo/ajax", _ajax, methods=["POST"]),
        *[Route(f"/demo/client/{path.name}", _file(path)) for path in sorted(client.glob("*.js"))],
        *[Route(f"/demo/static/{path.name}", _file(path)) for path in sorted(_STATIC.iterdir())],
    ]


def _find_jquery() -> Path:
    try:
        spec = find_spec("xstatic.pkg.jquery")
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise ConfigurationError([f"demo: jQuery is not installed: {install_line('demo')}"])
    return Path(spec.origin).parent / "data" / "jquery.min.js"


def _find_client() -> Path:
    """In a checkout the client's files are edited in client-js/; in a wheel they travel inside the package."""
    packaged = _PACKAGE / "client-js"
    return packaged if packaged.is_dir() else _PACKAGE.parent.parent / "client-js"


def _file(path: Path) -> Any:
    async def serve(_request: Request) -> Response:
        return FileResponse(path, headers=_HEADERS)

    return serve


async def _ajax(request: Request) -> Response:
    """Stand in for the plug-in's AJAX callback in the database: build the message and POST it to the bridge."""
    body = await request.body()
    if len(body) > _MAX_FORM_BYTES:
        return JSONResponse({"error": "the form is too large"})
    form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    attributes = _BROADCASTS.get(form.get("p_request", "").removeprefix("PLUGIN="))
    if attributes is None:
        return JSONResponse({"error": "there is no such plug-in on this page"})
    message = {
        "channel": attributes["channel"],
        "eventName": attributes["eventName"],
        "payload": {"itemName": attributes["itemName"], "value": form.get("x01", "")},
        "meta": {"user": _USERS.get(form.get("p_instance", ""), "nobody"), "appId": 100, "pageId": 10},
    }
    host, port = request.scope["server"]
    return JSONResponse(await asyncio.to_thread(_broadcast, host, port, message))


def _broadcast(host: str, port: int, message: dict[str, Any]) -> dict[str, Any]:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("POST", "/api/broadcast", json.dumps(message), {"Content-Type": "application/json"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return {"error": f"the bridge did not answer: {error}"}
    finally:
        connection.close()
    return answer if answer.get("ok") else {"error": answer.get("message", "refused")}
