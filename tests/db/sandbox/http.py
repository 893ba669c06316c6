"""UTL_HTTP over Python's HTTP client, with the errors that Oracle gives for what goes wrong."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.db.sandbox.values import OracleError, Outs, Value

if TYPE_CHECKING:
    from tests.db.sandbox.machine import Machine

MAX_OPEN = 5
"""A session may have five requests open (ORA-29270)."""

CODES = {
    "request_failed": -29273,
    "end_of_body": -29266,
    "protocol_error": -29263,
    "illegal_call": -29267,
    "bad_argument": -29261,
    "bad_url": -29262,
    "transfer_timeout": -29276,
    "too_many_requests": -29270,
}


@dataclass(slots=True, eq=False)
class Request:
    """UTL_HTTP.REQ."""

    url: str
    method: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    settings: dict[str, Value] = field(default_factory=dict)
    """Those of the session when it went out."""


@dataclass(slots=True, eq=False)
class Response:
    """UTL_HTTP.RESP."""

    fields: dict[str, Value]
    rest: bytes


def failed(cause: str) -> OracleError:
    """ORA-29273 with its cause below it, as UTL_HTTP raises it."""
    return OracleError(CODES["request_failed"], "HTTP request failed", [cause])


class Http:
    """The settings and open requests of a session."""

    def __init__(self) -> None:
        self.settings: dict[str, Value] = {
            "timeout": 60, "max_redirects": 3, "enable": False, "proxy": None, "no_proxy_domains": None, "wallet": None,
        }  # fmt: skip
        self.open: list[object] = []
        self.sent: list[Request] = []
        self.allowed_hosts: set[str] | None = None
        self.break_with: OracleError | None = None
        """Raised instead of the next answer: what a network, a wallet or a proxy does."""
        self.answer_with: tuple[int, bytes] | None = None
        """Given instead of every answer: what something else than the server says."""

    def begin(self, url: str, method: str, http_version: str | None = None) -> Request:
        """BEGIN_REQUEST: connects in Oracle; here the ACL is asked."""
        host = urlsplit(url).hostname or ""
        if self.allowed_hosts is not None and host not in self.allowed_hosts:
            raise failed("ORA-24247: network access denied by access control list (ACL)")
        if len(self.open) >= MAX_OPEN:
            raise OracleError(CODES["too_many_requests"], "too many open HTTP requests")
        request = Request(url, method)
        self.open.append(request)
        self.sent.append(request)
        return request

    def respond(self, r: Request) -> Response:
        """GET_RESPONSE: here the request really goes out, with exactly the headers that were set."""
        if r not in self.open:
            raise OracleError(CODES["illegal_call"], "illegal call")
        r.settings = dict(self.settings)
        if self.break_with is not None:
            error, self.break_with = self.break_with, None
            raise error
        status, reason, body = self._exchange(r)
        self.open.remove(r)
        response = Response({"status_code": status, "reason_phrase": reason, "http_version": "HTTP/1.1"}, body)
        self.open.append(response)
        return response

    def _exchange(self, request: Request) -> tuple[int, str, bytes]:
        if self.answer_with is not None:
            return self.answer_with[0], "", self.answer_with[1]
        parts = urlsplit(request.url)
        kind: Any = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=float(self.settings["timeout"]))
        try:
            connection.putrequest(request.method, parts.path or "/", skip_accept_encoding=True)
            for name, value in request.headers:
                connection.putheader(name, value)
            connection.endheaders()
            connection.send(request.body)
            answer = connection.getresponse()
            return answer.status, answer.reason, answer.read()
        except TimeoutError:
            raise failed("ORA-29276: transfer timeout") from None
        except ssl.SSLError as error:
            raise failed(f"ORA-29024: Certificate validation failure ({error.reason})") from None
        except ConnectionRefusedError:
            raise failed("ORA-12541: TNS:no listener") from None
        except (OSError, http.client.HTTPException) as error:
            raise failed(f"ORA-29259: end-of-input reached ({error})") from None
        finally:
            connection.close()

    def read(self, response: Response, length: int) -> bytes:
        """READ_RAW: at most ``length`` bytes, and END_OF_BODY when there are none left."""
        if not response.rest:
            raise OracleError(CODES["end_of_body"], "end-of-body reached")
        taken, response.rest = response.rest[:length], response.rest[length:]
        return taken

    def end(self, r: object) -> None:
        """END_RESPONSE and END_REQUEST."""
        if r not in self.open:
            raise OracleError(CODES["illegal_call"], "illegal call")
        self.open.remove(r)


def install(machine: Machine, http_session: Http) -> None:
    """Make UTL_HTTP of this machine use ``http_session``."""
    settings = http_session.settings
    put = settings.__setitem__
    functions: dict[str, Callable[..., Value]] = {
        "begin_request": http_session.begin,
        "set_header": lambda r, name, value: r.headers.append((name, str(value))),
        "write_raw": lambda r, data: setattr(r, "body", r.body + data),
        "get_response": http_session.respond,
        "read_raw": lambda r, **values: Outs(data=http_session.read(r, int(values["len"]))),
        "end_response": http_session.end,
        "end_request": http_session.end,
        "set_transfer_timeout": lambda timeout: put("timeout", timeout),
        "get_transfer_timeout": lambda timeout=None: Outs(timeout=settings["timeout"]),
        "set_follow_redirect": lambda max_redirects: put("max_redirects", max_redirects),
        "get_follow_redirect": lambda max_redirects=None: Outs(max_redirects=settings["max_redirects"]),
        "set_response_error_check": lambda enable: put("enable", enable),
        "get_response_error_check": lambda enable=None: Outs(enable=settings["enable"]),
        "set_proxy": lambda proxy, no_proxy_domains=None: settings.update(
            proxy=proxy, no_proxy_domains=no_proxy_domains
        ),
        "get_proxy": lambda **_: Outs(proxy=settings["proxy"], no_proxy_domains=settings["no_proxy_domains"]),
        "set_wallet": lambda path, password=None: put("wallet", (path, password)),
        "get_detailed_sqlerrm": lambda: None,
        "http_version_1_1": lambda: "HTTP/1.1",
    }
    machine.supplied.update({f"utl_http.{name}": function for name, function in functions.items()})
    for name, code in CODES.items():
        machine.supplied[f"utl_http.{name}"] = partial(int, code)
