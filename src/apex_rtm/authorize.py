"""Who may publish, who a token names, and who may subscribe to what. Pure decisions, no input or output."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace

from apex_rtm.channels import Pattern, parse_pattern
from apex_rtm.errors import Refused
from apex_rtm.passes import PREFIX, Passes
from apex_rtm.revocations import Revocations
from apex_rtm.tokens import ANYBODY, MAX_TOKENS, Identity, TokenVerifier, combine


class Authorizer:
    """Holds the keys. Without keys and verifier the server is in open mode and everybody may do everything."""

    def __init__(self, api_keys: Sequence[str], verifier: TokenVerifier | None, revocations: Revocations) -> None:
        self._digests = [_digest(key) for key in api_keys]
        self.verifier = verifier
        self.revocations = revocations
        self.passes: Passes | None = None
        """What lets operators in, where there is a console."""

    @property
    def is_open(self) -> bool:
        """Tell whether this is open mode."""
        return self.verifier is None

    def check_key(self, key: str | None) -> None:
        """Raise Refused (unauthorized) unless `key` may publish.

        Digests of equal length are compared, every key each time: neither the length of a key nor its place in the list
        can be read from the time taken.
        """
        if self.is_open:
            return
        if not key:
            raise Refused("unauthorized", "an API key is needed: send X-API-Key: <key>")
        offered = _digest(key)
        matches = [hmac.compare_digest(offered, digest) for digest in self._digests]
        if not any(matches):
            raise Refused("unauthorized", "the API key is not one of the configured api_keys")

    def identify(self, *tokens: str | None) -> Identity:
        """Say who a connection is. Raises Refused (unauthorized, token_expired, revoked, forbidden, bad_request)."""
        if self.passes is not None and self.is_pass(*tokens):
            return self.passes.identify(tokens[0] or "")
        if self.verifier is None:
            return ANYBODY
        if len(tokens) > MAX_TOKENS:
            raise Refused("bad_request", f"a connection has at most {MAX_TOKENS} tokens")
        return combine([self._identify(self.verifier, token) for token in tokens or (None,)])

    def is_pass(self, *tokens: str | None) -> bool:
        """Tell whether somebody wants in as an operator."""
        return len(tokens) == 1 and (tokens[0] or "").startswith(PREFIX) and self.passes is not None

    def _identify(self, verifier: TokenVerifier, token: str | None) -> Identity:
        if not token:
            raise Refused("unauthorized", "connect needs a token")
        identity = verifier.verify(token)
        if self.revocations.refuse_connection(identity):
            raise Refused("revoked", "the token was revoked")
        return identity

    def check_subscribe(self, identity: Identity, channel: str) -> Pattern:
        """Resolve what a client asks for into what it gets. Raises Refused (forbidden, revoked, bad_request)."""
        pattern = parse_pattern(channel)
        if self.is_open or identity.is_operator:
            return pattern
        granting = [one for one in identity.each if one.grants_pattern(pattern)]
        if not granting:
            raise Refused("forbidden", f"the token does not grant {channel[:100]!r}")
        # What the user would not see through a wildcard anyway cannot have been taken away from them.
        seen = replace(pattern, viewer=identity.user)
        if all(self.revocations.refuse_subscription(one, seen) for one in granting):
            raise Refused("revoked", f"the right to {channel[:100]!r} was taken away")
        return seen


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
