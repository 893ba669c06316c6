"""What every session of a server has around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from apex_rtm.authorize import Authorizer
from apex_rtm.clock import Clock
from apex_rtm.hub import Hub
from apex_rtm.limits import ConnectionQuota


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """The settings that a session looks at; see `Settings` for their reasons."""

    max_channels: int
    connect_timeout_s: float
    ping_interval_s: float
    token_warning_s: float
    has_presence: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all sessions of a server share."""

    hub: Hub
    authorizer: Authorizer
    quota: ConnectionQuota
    limits: SessionLimits
    clock: Clock
