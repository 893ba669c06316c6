"""The HTTP interface: Starlette routes from a request to `Publisher`, `Hub` or a token, and errors in one form."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from apex_rtm.authorize import Authorizer
from apex_rtm.channels import check_channel
from apex_rtm.clock import Clock
from apex_rtm.counts import Counts
from apex_rtm.edge.exchange import Doors
from apex_rtm.edge.guard import check_open_mode
from apex_rtm.edge.meter import Meter
from apex_rtm.edge.openapi import describe_api
from apex_rtm.errors import Refused, RtmError, Unavailable
from apex_rtm.hub import Hub
from apex_rtm.log import get_logger
from apex_rtm.message import Published, decode_request
from apex_rtm.overview import history_of
from apex_rtm.publish import Publisher
from apex_rtm.revocations import Revocation
from apex_rtm.survey import ask_channels, ask_connections, ask_presence, revoke_everywhere, whole_log
from apex_rtm.tokens import MAX_GRANTS
from apex_rtm.tracing import Mark, Tracing

_log = get_logger(__name__)
_encode = msgspec.json.encode
MAX_LISTED: Final = 1000


class _Channel(PathConvertor):
    """A channel in a path: it may hold slashes, and line ends, which `.` does not match by itself."""

    regex = "(?s:.*)"


register_url_convertor("channel", _Channel())


class TokenRequest(msgspec.Struct, rename="camel"):
    """Body of `POST /api/tokens`."""

    user: str
    channels: list[str]
    session_id: str | None = None
    ttl_seconds: float = 3600


class RevokeRequest(msgspec.Struct, rename="camel"):
    """Body of `POST /api/revoke`."""

    user: str | None = None
    session_id: str | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Api:
    """What the handlers work with."""

    hub: Hub
    publisher: Publisher
    authorizer: Authorizer
    clock: Clock
    max_body_bytes: int
    max_json_depth: int
    body_timeout_s: float
    tracing: Tracing | None = None

    # ── publishing ──

    async def broadcast(self, request: Request) -> Response:
        """POST /api/broadcast."""
        body = await self.read_body(request)
        if self.tracing is None:
            return _ready_json(await self.publish(body))
        with self.tracing.publishing(request.headers) as mark:
            return _ready_json(await self.publish(body, mark))

    async def publish(self, body: bytes, mark: Mark | None = None) -> bytes:
        """Publish the one message that `body` is; return the answer. Raises Refused, Unavailable."""
        return _encode(_answer(await self.publisher.publish(body, mark)))

    async def broadcast_batch(self, request: Request) -> Response:
        """POST /api/broadcast/batch."""
        body = await self.read_body(request)
        if self.tracing is None:
            return _ready_json(await self.publish_batch(body))
        with self.tracing.publishing(request.headers) as mark:
            return _ready_json(await self.publish_batch(body, mark))

    async def publish_batch(self, body: bytes, mark: Mark | None = None) -> bytes:
        """Publish many messages; return the answer. Raises Refused."""
        results = await self.publisher.publish_batch(body, mark)
        return _encode({"ok": True, "results": [_answer(result) for result in results]})

    # ── rights ──

    async def tokens(self, request: Request) -> Response:
        """POST /api/tokens."""
        wanted = decode_request(await self.read_body(request), TokenRequest, max_depth=self.max_json_depth)
        verifier = self.authorizer.verifier
        if verifier is None:
            return _failure(409, "open_mode", "open mode has no token secret and needs no tokens")
        if not wanted.user:
            raise Refused("bad_request", "user must not be empty")
        if len(wanted.channels) > MAX_GRANTS:
            raise Refused("bad_request", f"a token grants at most {MAX_GRANTS} channels; a prefix with * grants many")
        for channel in wanted.channels:
            check_channel(channel)
        token, expires_at = verifier.mint(wanted.user, wanted.session_id, wanted.channels, wanted.ttl_seconds)
        return _json({"ok": True, "token": token, "expiresAt": expires_at})

    async def revoke(self, request: Request) -> Response:
        """POST /api/revoke."""
        wanted = decode_request(await self.read_body(request), RevokeRequest, max_depth=self.max_json_depth)
        if wanted.user is None and wanted.session_id is None and wanted.channel is None:
            raise Refused("bad_request", "name at least one of user, sessionId, channel")
        if wanted.channel is not None:
            check_channel(wanted.channel)
        revocation = Revocation(wanted.user, wanted.session_id, wanted.channel, self.clock.now())
        connections, subscriptions = await revoke_everywhere(self.hub, revocation)
        _log.info("rights.revoked", user=wanted.user, channel=wanted.channel, connections=connections)
        return _json({"ok": True, "connections": connections, "subscriptions": subscriptions})

    # ── looking ──

    async def channels(self, request: Request) -> Response:
        """GET /api/channels."""
        prefix = request.query_params.get("prefix", "")
        return _json(await ask_channels(self.hub, prefix, _limit(request)))

    async def history(self, request: Request) -> Response:
        """GET /api/channels/{channel}/history."""
        params = request.query_params
        offset = whole_number(request, "offset", 0, 2**63)
        epoch = params.get("epoch")
        channel = _channel(request)
        async with whole_log(self.hub, channel):
            return _json(history_of(self.hub, channel, epoch, offset, _limit(request)))

    async def presence(self, request: Request) -> Response:
        """GET /api/channels/{channel}/presence."""
        return _json(await ask_presence(self.hub, _channel(request)))

    async def connections(self, request: Request) -> Response:
        """GET /api/connections."""
        params = request.query_params
        limit = _limit(request)
        return _json(await ask_connections(self.hub, params.get("user"), params.get("channel"), limit))

    async def read_body(self, request: Request, most_bytes: int | None = None) -> bytes:
        """Read a body within its limits of size and time. Raises Refused (too_large, timeout)."""
        limit, setting = (self.max_body_bytes, " (max_body_bytes)") if most_bytes is None else (most_bytes, "")
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and len(declared) < 20 and int(declared) > limit:
            raise Refused("too_large", f"the body has {declared} bytes, at most {limit} are allowed{setting}")
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.body_timeout_s):
                async for part in request.stream():
                    size += len(part)
                    if size > limit:
                        raise Refused("too_large", f"the body has over {limit} bytes{setting}")
                    parts.append(part)
        except TimeoutError as error:
            raise Refused("timeout", "the body did not arrive in time (body_timeout_s)") from error
        return b"".join(parts)


def make_app(api: Api, *, extra_routes: Sequence[BaseRoute] = ()) -> ASGIApp:
    """Put the routes together. `extra_routes` is where the demo comes in."""
    keyed = require_key(api.authorizer)
    # Routes are tried in order: the one that is used all day comes first.
    routes: list[BaseRoute] = [
        Route("/api/broadcast", keyed(api.broadcast), methods=["POST"]),
        Route("/api/broadcast/batch", keyed(api.broadcast_batch), methods=["POST"]),
        Route("/", _root),
        Route("/health/live", _live),
        Route("/health/ready", _ready(api.hub)),
        Route("/openapi.json", _openapi(api.authorizer)),
        Route("/api/tokens", keyed(api.tokens), methods=["POST"]),
        Route("/api/revoke", keyed(api.revoke), methods=["POST"]),
        Route("/api/channels", keyed(api.channels)),
        Route("/api/channels/{channel:channel}/history", keyed(api.history)),
        Route("/api/channels/{channel:channel}/presence", keyed(api.presence)),
        Route("/api/connections", keyed(api.connections)),
        *extra_routes,
    ]
    handlers: dict[Any, Any] = {
        RtmError: _on_error(api.hub.counts),
        HTTPException: _on_http_exception,
        ClientDisconnect: _on_disconnect,
        Exception: _on_fault,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    counts = api.hub.counts
    return Meter(OpenModeGuard(app, counts) if api.authorizer.is_open else app, counts, routes)


def make_doors(api: Api) -> Doors:
    """The publishing routes once more, without ASGI; see `Exchange`. Whatever is unusual about a request goes there."""
    authorizer = api.authorizer

    def admit_local(headers: Sequence[tuple[bytes, bytes]]) -> None:
        check_open_mode([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])

    def admit_key(headers: Sequence[tuple[bytes, bytes]]) -> None:
        authorizer.check_key(_offered_key(headers))

    return Doors(
        {b"/api/broadcast": api.publish, b"/api/broadcast/batch": api.publish_batch},
        admit_local if authorizer.is_open else admit_key,
        api.hub.counts,
        api.max_body_bytes,
        api.body_timeout_s,
    )


class OpenModeGuard:
    """Stands in front of every route in open mode. See `check_open_mode` for the attacks."""

    def __init__(self, app: ASGIApp, counts: Counts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] == "http":
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
            try:
                check_open_mode(headers)
            except Refused as refused:
                self._counts.refusals["http", refused.code] += 1
                await _failure(refused.http_status, refused.code, refused.message)(scope, receive, send)
                return
        await self._app(scope, receive, send)


Handler = Callable[[Request], Awaitable[Response]]


def require_key(authorizer: Authorizer) -> Callable[[Handler], Handler]:
    """Make a wrapper for handlers that only those with an API key may reach. Raises Refused (unauthorized)."""

    def wrap(handler: Handler) -> Handler:
        async def checked(request: Request) -> Response:
            authorizer.check_key(key_of(request))
            return await handler(request)

        return checked

    return wrap


def key_of(request: Request) -> str | None:
    """The key of a request, from either header."""
    return _offered_key(request.headers.raw)


def _offered_key(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    first = dict(reversed(headers))  # as everywhere else: of a header that is there twice, the first one counts
    key = first.get(b"x-api-key")
    if key is not None:
        return key.decode("latin-1")
    scheme, _, credentials = first.get(b"authorization", b"").decode("latin-1").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


async def _root(_request: Request) -> Response:
    return PlainTextResponse("RTM WebSocket / REST bridge is running")


async def _live(_request: Request) -> Response:
    return _json({"ok": True})


def _ready(hub: Hub) -> Handler:
    async def ready(_request: Request) -> Response:
        if hub.draining:
            raise Unavailable("this server is about to stop")
        if hub.engine.trouble is not None:
            raise Unavailable(hub.engine.trouble)
        return _json({"ok": True})

    return ready


def _openapi(authorizer: Authorizer) -> Handler:
    document = describe_api(max_token_ttl_s=None if authorizer.verifier is None else authorizer.verifier.max_ttl_s)

    async def openapi(_request: Request) -> Response:
        return _json(document)

    return openapi


def _channel(request: Request) -> str:
    channel: str = request.path_params["channel"]
    check_channel(channel)
    return channel


def _limit(request: Request) -> int:
    return whole_number(request, "limit", 100, MAX_LISTED)


def whole_number(request: Request, name: str, default: int, most: int) -> int:
    """Read a parameter of the query. Raises Refused (bad_request)."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) > most:
        raise Refused("bad_request", f"{name} must be a whole number from 0 to {most}")
    return int(text)


class _Answer(msgspec.Struct, frozen=True):
    """What the sender of a message is told; a batch has one for each."""

    ok: bool
    id: str
    epoch: str
    offset: int


def _answer(result: Published | RtmError) -> _Answer | dict[str, Any]:
    if isinstance(result, RtmError):
        return {"ok": False, "code": result.code, "message": result.message}
    return _Answer(True, result.id, result.position.epoch, result.position.offset)


def _ready_json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _json(body: Any, status: int = 200) -> Response:
    return Response(_encode(body), status, media_type="application/json")


def _failure(status: int, code: str, message: str) -> Response:
    return _json({"ok": False, "code": code, "message": message}, status)


def _on_error(counts: Counts) -> Callable[[Request, RtmError], Awaitable[Response]]:
    async def answer(_request: Request, error: RtmError) -> Response:
        counts.refusals["http", error.code] += 1
        response = _failure(error.http_status, error.code, error.message)
        if error.code == "timeout":
            response.headers["connection"] = "close"  # the rest of the body will not come
        return response

    return answer


async def _on_http_exception(_request: Request, error: HTTPException) -> Response:
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        response = _failure(405, "method_not_allowed", f"use {allowed}")
        response.headers["allow"] = allowed  # RFC 9110, 15.5.6
        return response
    if error.status_code == 404:
        return _failure(404, "not_found", "there is no such path")
    return _failure(error.status_code, "bad_request", str(error.detail))


async def _on_disconnect(_request: Request, _error: ClientDisconnect) -> Response:
    return _failure(400, "bad_request", "the client went away")


async def _on_fault(_request: Request, error: Exception) -> Response:
    _log.error("request.failed", exc_info=error)
    return _failure(500, "internal", "the server failed; its log has the details")
