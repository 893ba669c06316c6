"""Every check, in the order in which they run and are shown."""

from __future__ import annotations

from typing import Final

from apex_rtm.doctor import (
    calling,
    clocks,
    configuration,
    loop,
    origin,
    port,
    proxy,
    schema,
    sending,
    shared_log,
    storage,
    tls,
)
from apex_rtm.doctor.check import Check

# What a group is called in the report.
GROUPS: Final = {
    "config": "Configuration",
    "data": "Log",
    "redis": "Redis",
    "port": "Port",
    "tls": "Certificate",
    "clock": "Clocks",
    "proxy": "Proxy",
    "origin": "Pages",
    "loop": "Round trip",
    "db": "Database",
}
CHECKS: Final[tuple[Check, ...]] = (
    *configuration.CHECKS,
    *storage.CHECKS,
    *shared_log.CHECKS,
    *port.CHECKS,
    *tls.CHECKS,
    clocks.SERVER,
    *proxy.CHECKS,
    *origin.CHECKS,
    *loop.CHECKS,
    *schema.CHECKS,
    clocks.DATABASE,
    *calling.CHECKS,
    *sending.CHECKS,
)
