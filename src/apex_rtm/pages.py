"""What is served beside the API: figures for Prometheus, and the demo."""

from __future__ import annotations

from pydantic import SecretStr
from starlette.routing import BaseRoute

from apex_rtm.demo import demo_routes
from apex_rtm.edge.http import Api
from apex_rtm.edge.intake import Intake
from apex_rtm.limits import ConnectionQuota
from apex_rtm.metrics import Node, metrics_routes
from apex_rtm.relay.counts import Counts as RelayCounts
from apex_rtm.settings import Settings


def extra_routes(
    settings: Settings, api: Api, quota: ConnectionQuota, intake: Intake, relay: RelayCounts | None
) -> list[BaseRoute]:
    """Routes as the settings want them. Raises ConfigurationError where files of the demo are missing."""
    node = Node(
        hub=api.hub,
        quota=quota,
        intake=intake,
        engine=settings.engine,
        mode="open" if settings.is_open else "secured",
        log_max_bytes=settings.log_max_bytes,
        relay=relay,
        monotonic=api.clock.monotonic,
    )
    routes = metrics_routes(node, api.authorizer, _text(settings.metrics_key))
    return [*routes, *(demo_routes() if settings.demo else ())]


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
