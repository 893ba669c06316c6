"""Who is subscribed to what. Finding them costs the same with ten channels and with a million."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from apex_rtm.channels import USER_PREFIX, Pattern

if TYPE_CHECKING:
    from apex_rtm.session import Session


class Registry:
    """The live subscriptions of this server."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[Session, Pattern]] = {}
        self._prefixes: dict[str, dict[Session, Pattern]] = {}
        self._prefix_lengths: dict[int, int] = {}
        self.count = 0
        """Subscriptions in all."""
        self._listed: tuple[str, tuple[Session, ...]] = ("", ())

    def add(self, pattern: Pattern, session: Session) -> None:
        """Begin to deliver `pattern` to `session`."""
        self._forget(pattern)
        table = self._prefixes if pattern.is_prefix else self._exact
        if pattern.is_prefix and pattern.stem not in table:
            length = len(pattern.stem)
            self._prefix_lengths[length] = self._prefix_lengths.get(length, 0) + 1
        sessions = table.setdefault(pattern.stem, {})
        self.count += session not in sessions
        sessions[session] = pattern

    def remove(self, pattern: Pattern, session: Session) -> None:
        """Stop to deliver `pattern` to `session`."""
        self._forget(pattern)
        table = self._prefixes if pattern.is_prefix else self._exact
        sessions = table.get(pattern.stem)
        if sessions is None or sessions.pop(session, None) is None:
            return
        self.count -= 1
        if sessions:
            return
        del table[pattern.stem]
        if pattern.is_prefix:
            length = len(pattern.stem)
            self._prefix_lengths[length] -= 1
            if not self._prefix_lengths[length]:
                del self._prefix_lengths[length]

    @property
    def has_prefixes(self) -> bool:
        """True while anybody follows a wildcard."""
        return bool(self._prefixes)

    def subscribers(self, channel: str) -> Mapping[Session, Pattern]:
        """Everybody who gets a publication to `channel`, each once, and through what."""
        found = self._exact.get(channel, {})
        if not self._prefixes:
            return found
        more: dict[Session, Pattern] = {}
        for length in self._prefix_lengths:
            if length > len(channel):
                continue
            sessions = self._prefixes.get(channel[:length])
            if not sessions:
                continue
            if channel.startswith(USER_PREFIX):
                more.update((s, p) for s, p in sessions.items() if p.matches(channel))
            else:
                more.update(sessions)
        return {**found, **more} if more else found

    def listed(self, channel: str) -> tuple[Session, ...]:
        """Everybody who gets a publication to `channel`: mostly the same object as the last time, until they change.

        So whoever prepares something for them can tell that it is still good.
        """
        if self._listed[0] != channel:
            self._listed = (channel, tuple(self.subscribers(channel)))
        return self._listed[1]

    def _forget(self, pattern: Pattern) -> None:
        if pattern.is_prefix or pattern.stem == self._listed[0]:
            self._listed = ("", ())

    def exact_subscribers(self, channel: str) -> Collection[Session]:
        """Those who named this very channel: whom presence counts."""
        return self._exact.get(channel, {})

    @property
    def channel_count(self) -> int:
        """How many channels somebody named."""
        return len(self._exact)

    def prefix_subscribers(self) -> Collection[Session]:
        """Everybody who has a wildcard, each once."""
        return {session: None for sessions in self._prefixes.values() for session in sessions}

    def channels(self) -> Iterator[str]:
        """Every channel that somebody named."""
        return iter(self._exact)
