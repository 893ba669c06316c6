"""Rights that were taken away before their token ended."""

from __future__ import annotations

from dataclasses import dataclass

from apex_rtm.channels import Pattern
from apex_rtm.tokens import Identity


@dataclass(frozen=True, slots=True)
class Revocation:
    """Who loses what: every member that is not None must match. `at` is in seconds since 1970."""

    user: str | None
    session_id: str | None
    channel: str | None
    at: float

    def names(self, identity: Identity) -> bool:
        """Tell whether this identity is meant, whatever the channel and the age of its token."""
        # No revocation of a right that applications have is meant for who looks after the server.
        return (
            not identity.is_operator
            and (self.user is None or self.user == identity.user)
            and (self.session_id is None or self.session_id == identity.session_id)
        )


class Revocations:
    """All revocations in force. A later one replaces an earlier one of the same scope."""

    def __init__(self, *, keep_s: float) -> None:
        self._keep_s = keep_s
        self._whole: dict[tuple[str | None, str | None], Revocation] = {}
        self._by_channel: dict[str, dict[tuple[str | None, str | None], Revocation]] = {}

    def add(self, revocation: Revocation) -> None:
        """Put a revocation into force."""
        scope = (revocation.user, revocation.session_id)
        if revocation.channel is None:
            self._whole[scope] = revocation
        else:
            self._by_channel.setdefault(revocation.channel, {})[scope] = revocation

    def __len__(self) -> int:
        return len(self._whole) + sum(len(scopes) for scopes in self._by_channel.values())

    def knows(self, revocation: Revocation) -> bool:
        """Tell whether this one, or a later one of the same scope, is in force."""
        scopes = self._whole if revocation.channel is None else self._by_channel.get(revocation.channel, {})
        known = scopes.get((revocation.user, revocation.session_id))
        return known is not None and known.at >= revocation.at

    def refuse_connection(self, identity: Identity) -> bool:
        """Tell whether a token of this identity was revoked as a whole."""
        return _hits(self._whole, identity)

    def refuse_subscription(self, identity: Identity, pattern: Pattern) -> bool:
        """Tell whether the identity lost one of the channels that `pattern` would bring."""
        if not pattern.is_prefix:
            return _hits(self._by_channel.get(pattern.stem, {}), identity)
        return any(_hits(scopes, identity) for channel, scopes in self._by_channel.items() if pattern.matches(channel))

    def tidy(self, now: float) -> None:
        """Forget what no valid token can be older than."""
        horizon = now - self._keep_s
        self._whole = {scope: r for scope, r in self._whole.items() if r.at > horizon}
        kept = {
            channel: {scope: r for scope, r in scopes.items() if r.at > horizon}
            for channel, scopes in self._by_channel.items()
        }
        self._by_channel = {channel: scopes for channel, scopes in kept.items() if scopes}


def _hits(scopes: dict[tuple[str | None, str | None], Revocation], identity: Identity) -> bool:
    user, session_id = identity.user, identity.session_id
    candidates = ((user, session_id), (user, None), (None, session_id), (None, None))
    return any(scope in scopes and identity.issued_at <= scopes[scope].at for scope in candidates)
