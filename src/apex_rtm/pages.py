"""What is served beside the API: figures for Prometheus, the console, and the demo."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from pydantic import SecretStr
from starlette.routing import BaseRoute

from apex_rtm.console import Console, missing_routes
from apex_rtm.demo import demo_routes
from apex_rtm.edge.guard import Proxies
from apex_rtm.edge.http import Api
from apex_rtm.edge.intake import Intake
from apex_rtm.limits import ConnectionQuota
from apex_rtm.metrics import Node, metrics_routes
from apex_rtm.relay.counts import Counts as RelayCounts
from apex_rtm.settings import Settings


@dataclass(frozen=True, slots=True)
class Pages:
    """Routes, and what must run beside them for as long as the server does."""

    routes: list[BaseRoute] = field(default_factory=list)
    work: list[Callable[[], Coroutine[None, None, None]]] = field(default_factory=list)
    has_console: bool = False


def make_pages(
    settings: Settings, api: Api, quota: ConnectionQuota, intake: Intake, relay: RelayCounts | None
) -> Pages:
    """Make what the settings want. Raises ConfigurationError where files of the demo are missing."""
    node = Node(
        hub=api.hub,
        quota=quota,
        intake=intake,
        engine="redis" if settings.is_shared else settings.engine,
        mode="open" if settings.is_open else "secured",
        log_max_bytes=settings.log_max_bytes,
        ping_interval_s=settings.ping_interval_s,
        relay=relay,
        monotonic=api.clock.monotonic,
    )
    pages = Pages(has_console=settings.is_open or settings.console_key is not None)
    pages.routes.extend(metrics_routes(node, api.authorizer, _text(settings.metrics_key)))
    if pages.has_console:
        namespaces = [namespace.prefix for namespace in settings.namespaces]
        console = Console(node, api, _text(settings.console_key), Proxies(settings.trusted_proxies), namespaces)
        pages.routes.extend(console.routes())
        pages.work.append(console.run)
    else:
        pages.routes.extend(missing_routes())
    if settings.demo:
        pages.routes.extend(demo_routes())
    return pages


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
