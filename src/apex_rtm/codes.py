"""The closed sets of the protocol: error codes with their HTTP status, and WebSocket close codes.

docs/protocol.md, sections 9 and 10, is written from these tables and a test compares them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

HTTP_STATUS: Final[dict[str, int]] = {
    "channel_required": 400,
    "invalid_json": 400,
    "bad_request": 400,
    "unauthorized": 401,
    "token_expired": 401,
    "forbidden": 403,
    "forbidden_origin": 403,
    "open_mode": 403,
    "revoked": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "timeout": 408,
    "already_subscribed": 409,
    "too_large": 413,
    "rate_limited": 429,
    "limit_exceeded": 429,
    "internal": 500,
    "unavailable": 503,
}


class Close(NamedTuple):
    """How a connection ends: 4000 to 4499 ask the client to come back, 4500 to 4999 not to (RFC 6455, 7.4.2)."""

    code: int
    reason: str


NORMAL: Final = Close(1000, "")
BINARY: Final = Close(1003, "only text frames are understood")
NOT_UTF8: Final = Close(1007, "text frame is not UTF-8")
TOO_MANY_FRAGMENTS: Final = Close(1009, "message in too many fragments")
DRAINING: Final = Close(1012, "draining")
TOKEN_EXPIRED: Final = Close(4001, "token_expired")
SLOW: Final = Close(4002, "slow")
IDLE: Final = Close(4003, "idle")
CONNECT_TIMEOUT: Final = Close(4004, "connect_timeout")
RATE_LIMITED: Final = Close(4005, "rate_limited")
LIMIT_EXCEEDED: Final = Close(4006, "limit_exceeded")
RESYNC: Final = Close(4007, "resync")
UNAUTHORIZED: Final = Close(4501, "unauthorized")
REVOKED: Final = Close(4503, "revoked")
