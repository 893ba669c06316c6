"""Tokens that let a browser subscribe: JWT, HS256, the shared secret (RFC 7519; what APEX_JWT can sign)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt

from apex_rtm.channels import Pattern, parse_pattern, user_channel
from apex_rtm.clock import Clock
from apex_rtm.errors import Refused

ALGORITHM: Final = "HS256"
MIN_SECRET_BYTES: Final = 32
MAX_GRANTS: Final = 1000
MAX_TOKENS: Final = 50
"""Tokens of one connection: of so many kilobytes, a frame of 64 still has room; each costs one HMAC."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a connection is and what it may subscribe. In open mode everybody is `ANYBODY`."""

    user: str | None
    session_id: str | None
    grants: tuple[Pattern, ...]
    issued_at: float
    expires_at: float | None
    tokens: tuple[Identity, ...] = ()
    """What each token says, where a connection has several; see `combine`."""

    is_operator: bool = False
    """True for the console, which sees everything; no token can say so, only a pass (see `passes`)."""

    @property
    def each(self) -> tuple[Identity, ...]:
        """What each token says, be it one or several: a right and its age must come from the same token."""
        return self.tokens or (self,)

    def grants_pattern(self, pattern: Pattern) -> bool:
        """Tell whether the token covers `pattern`.

        A user's own channel is always theirs, by its exact name. A prefix never grants a `user:` channel, so that a
        token for `*` does not read everybody's private messages.
        """
        if not pattern.is_prefix and self.user is not None and pattern.stem == user_channel(self.user):
            return True
        private = pattern.stem.startswith("user:") and not pattern.is_prefix
        return any(grant.covers(pattern) and not (private and grant.is_prefix) for grant in self.grants)

    @property
    def channel_names(self) -> list[str]:
        """The grants as written, the user's own channel first."""
        own = [] if self.user is None else [user_channel(self.user)]
        return own + [grant.text for grant in self.grants if grant.text not in own]


def combine(identities: Sequence[Identity]) -> Identity:
    """Make one identity of what the tokens of a connection say: it ends with the first of them.

    Raises Refused (forbidden) where they name several users or sessions: whoever got hold of a second token would
    otherwise read both through a connection that the first one's owner cannot tell from their own.
    """
    first = identities[0]
    if len(identities) == 1:
        return first
    if any((one.user, one.session_id) != (first.user, first.session_id) for one in identities):
        raise Refused("forbidden", "the tokens of a connection must be of one user and session")
    return Identity(
        first.user,
        first.session_id,
        grants=tuple(dict.fromkeys(grant for one in identities for grant in one.grants)),
        issued_at=min(one.issued_at for one in identities),
        expires_at=min((one.expires_at for one in identities if one.expires_at is not None), default=None),
        tokens=tuple(identities),
    )


ANYBODY: Final = Identity(None, None, (parse_pattern("*"),), issued_at=0.0, expires_at=None)


class TokenVerifier:
    """Mints and verifies tokens with one secret."""

    def __init__(self, secret: str, *, max_ttl_s: float, leeway_s: float, clock: Clock) -> None:
        self._secret = secret.encode()
        self.max_ttl_s = max_ttl_s
        self._leeway_s = leeway_s
        self._clock = clock

    def mint(self, user: str, session_id: str | None, channels: Sequence[str], ttl_s: float) -> tuple[str, int]:
        """Sign a token; return it and its `exp`. Raises Refused when the lifetime is not allowed."""
        if not 1 <= ttl_s <= self.max_ttl_s:
            raise Refused("bad_request", f"ttlSeconds must be 1 to {self.max_ttl_s:.0f} (max_token_ttl_s)")
        issued_at = int(self._clock.now())
        claims: dict[str, Any] = {"sub": user, "channels": list(channels), "iat": issued_at}
        claims["exp"] = expires_at = issued_at + int(ttl_s)
        if session_id is not None:
            claims["sid"] = session_id
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM), expires_at

    def verify(self, token: str) -> Identity:
        """Read a token. Raises Refused (token_expired, unauthorized); the message never repeats the token."""
        try:
            # The header is checked by the same call that checks the signature: nothing unverified is acted upon.
            decoded = jwt.decode_complete(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                options={
                    "require": ["exp", "sub"], "verify_aud": False, "verify_iss": False,
                    # The library would compare them with a clock of its own: `_check_times` uses ours.
                    "verify_exp": False, "verify_iat": False, "verify_nbf": False,
                },
            )  # fmt: skip
        except jwt.InvalidTokenError as error:
            raise Refused("unauthorized", f"the token is refused: {_reason(error)}") from error
        if "crit" in decoded["header"]:
            raise Refused("unauthorized", "the token is refused: its header has crit, which nothing here understands")
        return self._identity(decoded["payload"])

    def _identity(self, claims: dict[str, Any]) -> Identity:
        user, session_id, channels = claims["sub"], claims.get("sid"), claims.get("channels", [])
        if not _is_text(user) or not user:
            raise Refused("unauthorized", "the token is refused: sub must be a user name")
        if session_id is not None and not isinstance(session_id, int) and not _is_text(session_id):
            raise Refused("unauthorized", "the token is refused: sid must be text")
        if not isinstance(channels, list) or not all(_is_text(name) and name for name in channels):
            raise Refused("unauthorized", "the token is refused: channels must be an array of names")
        if len(channels) > MAX_GRANTS:
            raise Refused("unauthorized", f"the token is refused: more than {MAX_GRANTS} channels")
        self._check_times(claims)
        grants = tuple(parse_pattern(name) for name in channels)
        session = None if session_id is None else str(session_id)
        return Identity(user, session, grants, float(claims.get("iat", 0)), float(claims["exp"]))

    def _check_times(self, claims: dict[str, Any]) -> None:
        """Compare `exp`, `iat` and `nbf` with the clock, `clock_leeway_s` either way (RFC 7519, 4.1.4 to 4.1.6)."""
        now = self._clock.now()
        for name in ("exp", "iat", "nbf"):
            if not _is_time(claims.get(name, 0)):
                raise Refused("unauthorized", f"the token is refused: {name} must be a number")
        if claims["exp"] <= now - self._leeway_s:
            raise Refused("token_expired", "the token has expired, fetch a new one")
        if claims["exp"] > now + self.max_ttl_s + self._leeway_s:
            raise Refused("unauthorized", f"the token is refused: exp is over {self.max_ttl_s:.0f} s away")
        if max(claims.get("iat", 0), claims.get("nbf", 0)) > now + self._leeway_s:
            raise Refused("unauthorized", "the token is refused: iat or nbf is in the future, compare the clocks")


def _is_text(value: object) -> bool:
    """Tell whether a claim is text that can be sent on: half a surrogate pair is a str, but not UTF-8."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_time(value: object) -> bool:
    return (type(value) is int and abs(value) < 1 << 53) or (isinstance(value, float) and math.isfinite(value))


def _reason(error: jwt.InvalidTokenError) -> str:
    """Say in words what is wrong, from a closed list: a library's text might quote the token."""
    reasons: dict[type[jwt.InvalidTokenError], str] = {
        jwt.MissingRequiredClaimError: "exp and sub are required",
        jwt.InvalidSignatureError: "the signature does not match the configured jwt_secret",
        jwt.InvalidAlgorithmError: f"alg must be {ALGORITHM}",
    }
    return next((text for kind, text in reasons.items() if isinstance(error, kind)), "it is not a valid JWT")
