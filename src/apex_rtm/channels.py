"""Channel names and what a subscription may name: one channel, or every channel with a prefix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from apex_rtm.errors import Refused

MAX_CHANNEL_CHARACTERS: Final = 4000
USER_PREFIX: Final = "user:"


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a subscription or a grant names. `stem` is the name, or the prefix in front of the final `*`.

    `viewer` limits a prefix to what one user may see: None sees every channel (open mode), a name sees no
    `user:` channel but its own.
    """

    text: str
    stem: str
    is_prefix: bool
    viewer: str | None = None

    def matches(self, channel: str) -> bool:
        """Tell whether publications to `channel` belong to this pattern."""
        if not self.is_prefix:
            return channel == self.stem
        if not channel.startswith(self.stem):
            return False
        return self.viewer is None or not channel.startswith(USER_PREFIX) or channel == user_channel(self.viewer)

    def overlaps(self, other: Pattern) -> bool:
        """Tell whether some channel may match both."""
        if self.is_prefix and other.is_prefix:
            return self.stem.startswith(other.stem) or other.stem.startswith(self.stem)
        return other.matches(self.stem) if other.is_prefix else self.matches(other.stem)

    def covers(self, other: Pattern) -> bool:
        """Tell whether everything that `other` matches is matched by this pattern too."""
        if self.is_prefix:
            return other.stem.startswith(self.stem)
        return not other.is_prefix and other.stem == self.stem


def parse_pattern(text: str) -> Pattern:
    """Read what a client or a token names. Raises Refused (channel_required, bad_request)."""
    check_channel(text)
    if text.endswith("*"):
        return Pattern(text, text[:-1], is_prefix=True)
    return Pattern(text, text, is_prefix=False)


def check_channel(channel: str) -> None:
    """Raise Refused unless `channel` is a usable name."""
    if not channel:
        raise Refused("channel_required", "channel is required")
    if len(channel) > MAX_CHANNEL_CHARACTERS:
        raise Refused(
            "bad_request",
            f"channel has {len(channel)} characters, at most {MAX_CHANNEL_CHARACTERS} are allowed",
        )


def user_channel(user: str) -> str:
    """Name the channel that belongs to one user: all of their tabs and devices."""
    return USER_PREFIX + user
