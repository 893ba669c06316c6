"""The opening handshake: what is asked for, and refusals as JSON."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.http11 import Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from apex_rtm.errors import Refused, RtmError
from apex_rtm.protocol import SUBPROTOCOL

# Without context on either side: so one compressed message fits everybody, and none costs memory while it is idle.
_DEFLATE: Final = [ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)]


class HandshakeProtocol(ServerProtocol):
    """`websockets`' protocol with our subprotocol and compression, whose refusals are JSON like every other failure."""

    def __init__(self, max_frame_bytes: int, *, compresses: bool = False) -> None:
        super().__init__(
            extensions=_DEFLATE if compresses else None,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            max_size=max_frame_bytes,
        )

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """Take rtm.v1 where it is offered; an old listener offers nothing and is welcome all the same."""
        return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in subprotocols else None

    def let_go(self) -> None:
        """End what refers back to this object: an ended connection is to be freed without the garbage collector."""
        del self.parser
        self.parser_exc = None

    @property
    def deflates(self) -> bool:
        """True where the peer reads what `protocol.deflate` makes, with the largest window (RFC 7692, 7.1.2.1)."""
        return any(
            isinstance(extension, PerMessageDeflate) and extension.local_max_window_bits == zlib.MAX_WBITS
            for extension in self.extensions
        )

    @property
    def final_code(self) -> int:
        """How it ended: the code of the side that began the closing, 1006 where neither did (RFC 6455, 7.1.5)."""
        if self.close_sent is not None and not self.close_rcvd_then_sent:
            return self.close_sent.code
        return 1006 if self.close_rcvd is None else self.close_rcvd.code

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


def refusal(error: RtmError, status: HTTPStatus | None = None) -> Response:
    """Answer a handshake with an error, in the form of every other failure."""
    body = msgspec.json.encode({"ok": False, "code": error.code, "message": error.message})
    status = status or HTTPStatus(error.http_status)
    headers = Headers(
        [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
    )
    return Response(status.value, status.phrase, headers, body)
