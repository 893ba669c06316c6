"""Who comes into the console: its key, a signed cookie, and two checks of whatever changes something.

A cookie is sent by the browser whatever page asks, so `SameSite=Strict` is not trusted alone: a request that changes
something must also name this very host as its origin, which no page can forge.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from apex_rtm import codes
from apex_rtm.clock import Clock
from apex_rtm.edge.guard import Proxies
from apex_rtm.edge.http import Api
from apex_rtm.errors import Refused
from apex_rtm.limits import TokenBucket
from apex_rtm.log import get_logger
from apex_rtm.message import decode_request
from apex_rtm.passes import Pass, Passes

_log = get_logger(__name__)
COOKIE: Final = "apex_rtm_console"
_PATH: Final = "/console"
_TRIES: Final = 5
_TRIES_PER_S: Final = 5 / 60
_MAX_ADDRESSES: Final = 10_000
_MAX_LOGIN_BYTES: Final = 4096

Handler = Callable[[Request], Awaitable[Response]]


class LoginRequest(msgspec.Struct):
    """Body of `POST /console/api/login`."""

    key: str


class Door:
    """Lets operators in. In open mode without a key everybody on this machine is one."""

    def __init__(self, api: Api, passes: Passes, proxies: Proxies, clock: Clock) -> None:
        self._api = api
        self._passes = passes
        self._proxies = proxies
        self._clock = clock
        self._tries: OrderedDict[str, TokenBucket] = OrderedDict()

    @property
    def needs_login(self) -> bool:
        """False in open mode without a key."""
        return self._passes.needs_login

    @property
    def posts(self) -> dict[str, Handler]:
        """Handlers of POST requests by name; each checks by itself who asks."""
        return {"login": self.login, "logout": self.logout, "pass": self.grant}

    # ── checks ──

    def guard(self, handler: Handler, *, changes: bool = False) -> Handler:
        """Wrap a handler so that operators alone reach it, and pages of others never. Raises Refused."""

        async def checked(request: Request) -> Response:
            if changes:
                self._check_same_origin(request)
            self.operator(request)
            return await handler(request)

        return checked

    def operator(self, request: Request) -> Pass:
        """The login of a request. Raises Refused (unauthorized, token_expired)."""
        if not self._passes.needs_login:
            now = self._clock.now()
            return Pass("login", "open", now, now)
        return self._passes.read(request.cookies.get(COOKIE, ""), "login")

    def _check_same_origin(self, request: Request) -> None:
        """Raise Refused (forbidden_origin) unless a page of this very host asks.

        Over https a page of http is not one: whoever is on the way can write it.
        """
        said, host = request.headers.get("origin", ""), request.headers.get("host", "")
        try:
            origin = urlsplit(said)
        except ValueError:
            origin = urlsplit("")
        is_same = host != "" and origin.netloc.lower() == host.lower()
        is_safe = origin.scheme == "https" or not self._is_https(request)
        if not (is_same and is_safe) or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise Refused(
                "forbidden_origin",
                "this is for the console's own page; a proxy in front must pass on Host as the browser sent it",
            )

    # ── handlers ──

    async def session(self, request: Request) -> Response:
        """GET /console/api/session: say whether a login is needed, and whether there is one."""
        try:
            self.operator(request)
        except Refused:
            return _json({"ok": True, "signedIn": False, "needsLogin": True})
        return _json({"ok": True, "signedIn": True, "needsLogin": self._passes.needs_login})

    async def login(self, request: Request) -> Response:
        """POST /console/api/login `{"key": "…"}`."""
        self._check_same_origin(request)
        ip = self._ip(request)
        tries = self._tries_of(ip)
        if not tries.take(self._clock.monotonic()):
            _log.warning("console.login_refused", ip=ip, cause="too many tries")
            raise Refused("rate_limited", "too many tries from this address, wait a minute")
        body = await self._api.read_body(request, _MAX_LOGIN_BYTES)  # nobody has shown anything yet
        if not self._passes.is_key(decode_request(body, LoginRequest, max_depth=4).key):
            _log.warning("console.login_refused", ip=ip, cause="wrong key")
            raise Refused("unauthorized", "that is not the console's key")
        tries.take(self._clock.monotonic(), -1)  # who has the key may come and go
        _log.info("console.login", ip=ip)
        return self._with_cookie(request, _json({"ok": True}), self._passes.log_in())

    async def logout(self, request: Request) -> Response:
        """POST /console/api/logout: end the login and every connection made with it."""
        self._check_same_origin(request)
        login = self.operator(request)
        if not self._passes.needs_login:  # all share one, which would be refused from now on
            return _json({"ok": True})
        self._passes.log_out(login.login)
        for session in tuple(self._api.hub.operators):
            if session.identity is not None and session.identity.session_id == login.login:
                session.end(codes.UNAUTHORIZED, "unauthorized", "logged out")
        response = _json({"ok": True})
        response.delete_cookie(COOKIE, _PATH, httponly=True, samesite="strict")
        return response

    async def grant(self, request: Request) -> Response:
        """POST /console/api/pass: a pass for the WebSocket; the login holds that much longer."""
        self._check_same_origin(request)
        login = self.operator(request)
        response = _json({"ok": True, "token": self._passes.sign(self._passes.for_socket(login))})
        return self._with_cookie(request, response, self._passes.prolong(login))

    # ── parts ──

    def _with_cookie(self, request: Request, response: Response, login: Pass) -> Response:
        if self._passes.needs_login:
            response.set_cookie(
                COOKIE,
                self._passes.sign(login),
                max_age=max(0, int(login.expires_at - self._clock.now())),
                path=_PATH,
                secure=self._is_https(request),
                httponly=True,
                samesite="strict",
            )
        return response

    def _ip(self, request: Request) -> str:
        return self._proxies.client_ip(_peer(request), request.headers.items())

    def _is_https(self, request: Request) -> bool:
        said = request.headers.get("x-forwarded-proto") if self._proxies.is_trusted(_peer(request)) else None
        return (said or request.url.scheme) == "https"

    def _tries_of(self, ip: str) -> TokenBucket:
        """Five tries, then one in twelve seconds. An IPv6 network counts as one address: it has 2^64 to try from."""
        now = self._clock.monotonic()
        key = _network(ip)
        bucket = self._tries.pop(key, None) or TokenBucket(_TRIES_PER_S, _TRIES, now)
        self._tries[key] = bucket
        while len(self._tries) > _MAX_ADDRESSES:
            self._tries.popitem(last=False)
        return bucket


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""


def _network(ip: str) -> str:
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    return str(ipaddress.ip_network((ip, 64), strict=False)) if address.version == 6 else ip


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
