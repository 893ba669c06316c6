"""The opening handshake: what is asked for, and refusals as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec
from websockets.datastructures import Headers
from websockets.http11 import Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from apex_rtm.errors import Refused, RtmError
from apex_rtm.protocol import SUBPROTOCOL


class HandshakeProtocol(ServerProtocol):
    """`websockets`' protocol, whose refusals are JSON like every other failure."""

    def reject(self, status: int, text: str) -> Response:
        code = {405: "method_not_allowed", 414: "too_large", 431: "too_large"}.get(status, "bad_request")
        return refusal(Refused(code, text.strip()), HTTPStatus(status))


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a request. Raises Refused (not_found) for what is no URL, such as `//[`."""
    try:
        url = urlsplit(target)
    except ValueError as error:
        raise Refused("not_found", "the WebSocket is at /") from error
    return url.path, url.query


def select_subprotocol(_protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Take rtm.v1 where it is offered; an old listener offers nothing and is welcome all the same."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def refusal(error: RtmError, status: HTTPStatus | None = None) -> Response:
    """Answer a handshake with an error, in the form of every other failure."""
    body = msgspec.json.encode({"ok": False, "code": error.code, "message": error.message})
    status = status or HTTPStatus(error.http_status)
    headers = Headers(
        [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
    )
    return Response(status.value, status.phrase, headers, body)
