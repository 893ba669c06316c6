"""The composition root: the only place that knows every part. Settings in, a running server out."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial

from uvicorn.config import Config

from apex_rtm.authorize import Authorizer
from apex_rtm.clock import Clock, SystemClock
from apex_rtm.counts import Counts
from apex_rtm.edge.burst import Burst
from apex_rtm.edge.guard import Proxies
from apex_rtm.edge.http import Api, make_app, make_doors
from apex_rtm.edge.intake import Intake
from apex_rtm.edge.meter import watch_lag
from apex_rtm.edge.tls import Certificates, TlsDoor
from apex_rtm.edge.ws import EdgeLimits, Gateway
from apex_rtm.engine.base import Engine
from apex_rtm.engine.make import make_engine, presence_of
from apex_rtm.errors import ConfigurationError
from apex_rtm.fanout import Fanout
from apex_rtm.hub import Hub
from apex_rtm.limits import ConnectionQuota
from apex_rtm.listen import bind, share_descriptors
from apex_rtm.log import get_logger
from apex_rtm.pages import Pages, make_pages
from apex_rtm.presence import Presence
from apex_rtm.publish import Publisher
from apex_rtm.registry import Registry
from apex_rtm.relay.make import make_relay_thread
from apex_rtm.relay.store import OutboxStore
from apex_rtm.relay.thread import RelayThread
from apex_rtm.revocations import Revocations
from apex_rtm.service import Duties, Service
from apex_rtm.session import Session
from apex_rtm.settings import Settings
from apex_rtm.surroundings import SessionLimits, Surroundings
from apex_rtm.survey import answer
from apex_rtm.systemd import Notifier
from apex_rtm.tokens import TokenVerifier
from apex_rtm.tracing import make_tracing

_log = get_logger(__name__)
_TICK_S = 1.0
_TIDY_REVOCATIONS_S = 60.0


@dataclass(frozen=True, slots=True)
class Parts:
    """A composed server, before any socket is open."""

    settings: Settings
    engine: Engine
    hub: Hub
    gateway: Gateway
    intake: Intake
    config: Config
    relay: RelayThread | None
    door: TlsDoor | None
    pages: Pages


def compose(settings: Settings, clock: Clock | None = None, outbox: OutboxStore | None = None) -> Parts:
    """Build every part and connect them, from the log outwards. `outbox` is for tests without an Oracle database."""
    clock = clock or SystemClock()
    engine = make_engine(settings, clock)
    revocations = Revocations(keep_s=settings.max_token_ttl_s + settings.clock_leeway_s)
    registry = Registry()
    burst = Burst()
    fanout = Fanout(registry, Counts(), clock.monotonic, _call_later, burst.write)
    hub = Hub(engine, revocations, Presence(max_names=settings.presence_max_names), registry, fanout)
    hub.answer = partial(answer, hub)
    authorizer = Authorizer(
        [key.get_secret_value() for key in settings.api_keys], _make_verifier(settings, clock), revocations
    )
    websockets, http_sockets = share_descriptors(settings)
    door = _make_door(settings, http_sockets // 2)
    if door is not None:
        http_sockets -= door.max_handshakes
    quota = ConnectionQuota(
        total=websockets,
        per_ip=settings.max_connections_per_ip,
        per_user=settings.max_connections_per_user,
    )
    around = Surroundings(hub, authorizer, quota, _session_limits(settings), clock)
    gateway = _make_gateway(settings, around, burst)
    intake = Intake(
        settings.max_header_bytes,
        settings.max_headers,
        http_sockets,
        settings.header_timeout_s,
    )
    publisher = Publisher(
        engine,
        clock,
        max_message_bytes=settings.max_message_bytes,
        max_batch_messages=settings.max_batch_messages,
        max_json_depth=settings.max_json_depth,
        publish_rate=settings.publish_rate,
        counts=hub.counts,
    )
    api = Api(
        hub,
        publisher,
        authorizer,
        clock,
        settings.max_body_bytes,
        settings.max_json_depth,
        settings.body_timeout_s,
        make_tracing(is_wanted=settings.tracing),
    )
    relay = None
    if outbox is not None or settings.oracle_dsn is not None:
        relay = make_relay_thread(settings, publisher, clock, outbox)
    pages = make_pages(settings, api, quota, intake, None if relay is None else relay.counts)
    gateway.serves_pages = pages.has_console
    intake.doors = None if settings.tracing else make_doors(api)  # a trace needs what that way leaves out
    app = make_app(api, extra_routes=pages.routes)
    config = Config(
        app,
        # uvicorn asks for classes, and calls them: a function that makes the protocol does as well.
        http=intake.connection,  # type: ignore[arg-type]
        ws=gateway.connection,  # type: ignore[arg-type]
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=int(settings.drain_timeout_s) or 1,
        backlog=4096,
    )
    return Parts(settings, engine, hub, gateway, intake, config, relay, door, pages)


def _make_door(settings: Settings, max_handshakes: int) -> TlsDoor | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return TlsDoor(
        Certificates(settings.tls_cert, settings.tls_key),
        max_handshakes=max_handshakes,
        handshake_timeout_s=settings.header_timeout_s,
        shutdown_timeout_s=settings.close_timeout_s,
    )


def _call_later(delay_s: float, work: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(delay_s, work)


def _make_verifier(settings: Settings, clock: Clock) -> TokenVerifier | None:
    if settings.jwt_secret is None:
        return None
    return TokenVerifier(
        settings.jwt_secret.get_secret_value(),
        max_ttl_s=settings.max_token_ttl_s,
        leeway_s=settings.clock_leeway_s,
        clock=clock,
    )


def _session_limits(settings: Settings) -> SessionLimits:
    return SessionLimits(
        max_channels=settings.max_channels_per_connection,
        connect_timeout_s=settings.connect_timeout_s,
        ping_interval_s=settings.ping_interval_s,
        token_warning_s=settings.token_warning_s,
        has_presence=presence_of(settings),
    )


def _make_gateway(settings: Settings, around: Surroundings, burst: Burst) -> Gateway:
    return Gateway(
        converse=lambda peer: Session(around, peer),
        quota=around.quota,
        proxies=Proxies(settings.trusted_proxies),
        limits=EdgeLimits(
            max_frame_bytes=settings.max_frame_bytes,
            outbox_max_bytes=settings.outbox_max_bytes,
            write_timeout_s=settings.write_timeout_s,
            close_timeout_s=settings.close_timeout_s,
            frame_rate=settings.command_rate,
            frame_burst=settings.command_burst,
            compresses=settings.compression,
        ),
        clock=around.clock,
        is_open=settings.is_open,
        allowed_origins=settings.allowed_origins,
        reconnect_spread_s=settings.reconnect_spread_s,
        counts=around.hub.counts,
        burst=burst,
    )


def _duties(parts: Parts, on_ready: Callable[[], None]) -> Duties:
    async def drain() -> None:
        # Ready turns 503 first, so that a load balancer sends nobody new while the others are still served.
        parts.hub.draining = parts.gateway.draining = True
        await asyncio.sleep(parts.settings.drain_delay_s)
        parts.hub.fanout.flush()
        if parts.door is not None:
            parts.door.shut()

    async def reload() -> None:
        if parts.door is None:
            _log.info("server.reloaded", changed="nothing: there is no certificate to read again")
            return
        try:
            await asyncio.to_thread(parts.door.certificates.reload)
            _log.info("server.reloaded", changed="certificate")
        except ConfigurationError as error:
            _log.warning("certificate.refused", problems=error.problems, remedy="the one before stays in force")

    def status() -> str:
        mode = "open" if parts.settings.is_open else "secured"
        return f"{mode} mode, {parts.gateway.quota.count} WebSocket connections"

    return Duties(on_ready, reload, drain, status, None if parts.door is None else parts.door.listen)


async def serve(settings: Settings, on_ready: Callable[[str], None], outbox: OutboxStore | None = None) -> None:
    """Run until SIGTERM or SIGINT. `on_ready` gets the base URL. Raises ConfigurationError when it cannot start."""
    parts = compose(settings, outbox=outbox)
    listener = bind(settings)
    try:
        async with running(parts):
            host, port = listener.getsockname()[:2]
            scheme = "http" if parts.door is None else "https"
            base_url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
            mode = "open" if settings.is_open else "secured"
            _log.info("server.started", url=base_url, mode=mode, io_uring=parts.gateway.burst.has_ring)
            duties = _duties(parts, lambda: on_ready(base_url))
            await Service(parts.config, duties, Notifier.from_environ(os.environ)).serve([listener])
            _log.info("server.stopped")
    finally:
        listener.close()


@contextlib.asynccontextmanager
async def running(parts: Parts) -> AsyncIterator[None]:
    """Start the engine and the clockwork, and stop both in the right order."""
    await parts.engine.start(parts.hub)
    parts.hub.fanout.written_seq = parts.hub.journal.seq  # nobody was here to be written to
    for revocation in parts.engine.revocations():
        parts.hub.revocations.add(revocation)
    tasks = [asyncio.create_task(work) for work in _clockwork(parts)]
    if parts.relay is not None:
        parts.relay.start()
    try:
        if parts.settings.io_uring and parts.door is None:  # under TLS, nothing is written past the transport
            parts.gateway.burst.open()
        yield
    finally:
        parts.gateway.burst.close()
        if parts.relay is not None:
            await parts.relay.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await parts.engine.stop()


def _clockwork(parts: Parts) -> list[Coroutine[None, None, None]]:
    """List what happens again and again. Each has its own task: a disk that hangs must not stop the pings."""
    clock, hub = parts.gateway.clock, parts.hub

    async def tick() -> None:
        hub.tick(clock.monotonic())

    async def flush_presence() -> None:
        hub.presence.flush()

    async def tidy_revocations() -> None:
        hub.revocations.tidy(clock.now())

    return [
        _every(_TICK_S, tick),
        _every(_TICK_S, parts.engine.tidy),
        _every(parts.settings.presence_interval_s, flush_presence),
        _every(_TIDY_REVOCATIONS_S, tidy_revocations),
        watch_lag(hub.counts.loop_lag, clock),
        *(work() for work in parts.pages.work),
    ]


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception:  # noqa: BLE001 - a fault in housekeeping must be seen and must not end it
            _log.exception("housekeeping.failed")
