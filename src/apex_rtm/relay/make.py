"""Puts a relay together from the settings: for a server it lives in, or to stand alone."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final

from apex_rtm.clock import Clock, SystemClock
from apex_rtm.database.login import make_login
from apex_rtm.errors import ConfigurationError
from apex_rtm.extras import install_line
from apex_rtm.log import get_logger
from apex_rtm.oracle_settings import OracleSettings
from apex_rtm.publish import Publisher
from apex_rtm.relay.counts import Counts
from apex_rtm.relay.door import Door
from apex_rtm.relay.drain import DrainLimits
from apex_rtm.relay.http import HttpDoor
from apex_rtm.relay.local import LocalDoor
from apex_rtm.relay.relay import Pace, Relay
from apex_rtm.relay.store import OutboxStore
from apex_rtm.relay.thread import RelayThread

_log = get_logger(__name__)
_STATUS_INTERVAL_S: Final = 60.0


def make_store(settings: OracleSettings, clock: Clock) -> OutboxStore:
    """The outbox of the configured database; connects to nothing yet. Raises ConfigurationError."""
    require_driver()
    login = make_login(settings)
    from apex_rtm.relay.oracle import OracleStore  # noqa: PLC0415 - needs the driver, which is an extra

    sender = (settings.relay_name or socket.gethostname())[:64]
    return OracleStore(login, sender, settings.relay_max_payload_characters, clock, wakes=settings.relay_wake == "auto")


def require_driver() -> None:
    """Raise ConfigurationError where python-oracledb is not installed."""
    if find_spec("oracledb") is None:
        raise ConfigurationError([f"oracle_dsn: python-oracledb is not installed: {install_line('oracle')}"])


def make_relay(settings: OracleSettings, store: OutboxStore, door: Door, clock: Clock, counts: Counts) -> Relay:
    """Connect the parts."""
    limits = DrainLimits(settings.relay_batch_size, settings.relay_max_request_bytes, settings.relay_max_attempts)
    pace = Pace(
        poll_least_s=settings.relay_poll_least_s,
        poll_most_s=settings.relay_poll_most_s,
        woken_poll_s=settings.relay_woken_poll_s,
        reconnect_most_s=settings.relay_reconnect_most_s,
    )
    return Relay(store, door, limits, pace, clock, counts)


def make_relay_thread(
    settings: OracleSettings, publisher: Publisher, clock: Clock, store: OutboxStore | None = None
) -> RelayThread:
    """A relay that publishes into this process' own log. Raises ConfigurationError."""
    outbox = store or make_store(settings, clock)
    counts = Counts()

    def make(server_loop: asyncio.AbstractEventLoop) -> Relay:
        door = LocalDoor(publisher, server_loop, settings.relay_publish_timeout_s)
        return make_relay(settings, outbox, door, clock, counts)

    return RelayThread(make, counts)


async def run_relay(
    settings: OracleSettings,
    url: str,
    key: str | None,
    on_ready: Callable[[], None],
    store: OutboxStore | None = None,
) -> Counts:
    """Relay to the server at `url` until SIGTERM or SIGINT. Raises ConfigurationError before it begins."""
    clock = SystemClock()
    counts = Counts()
    door = HttpDoor(url, key, settings.relay_publish_timeout_s)
    relay = make_relay(settings, store or make_store(settings, clock), door, clock, counts)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, relay.stop)
    telling = asyncio.create_task(_tell(counts, clock))
    on_ready()
    try:
        await relay.run()
    finally:
        telling.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    return counts


async def _tell(counts: Counts, clock: Clock) -> None:
    """Log the counters once a minute: a relay that stands alone has no other way to show them."""
    while True:
        await asyncio.sleep(_STATUS_INTERVAL_S)
        _log.info("relay.status", **counts.snapshot(clock.monotonic()))
