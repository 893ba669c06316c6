"""/metrics for Prometheus: what this node has counted, in the text format or as OpenMetrics, whichever is asked for.

The library is the extra `metrics`; docs/metrics.md lists the names.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from importlib.util import find_spec

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from apex_rtm.authorize import Authorizer
from apex_rtm.edge.http import key_of
from apex_rtm.errors import Refused
from apex_rtm.extras import install_line
from apex_rtm.metrics.node import Node
from apex_rtm.metrics.process import count_files

__all__ = ["Node", "metrics_routes"]


def metrics_routes(node: Node, authorizer: Authorizer, metrics_key: str | None) -> list[BaseRoute]:
    """The route /metrics. It needs an API key or `metrics_key`; in open mode none, as everything else there."""
    answer = _answer(node) if find_spec("prometheus_client") is not None else _explain
    own = None if metrics_key is None else _digest(metrics_key)

    async def metrics(request: Request) -> Response:
        key = key_of(request)
        if own is None or key is None or not hmac.compare_digest(_digest(key), own):
            authorizer.check_key(key)
        return answer(request, await count_files())

    return [Route("/metrics", metrics)]


def _answer(node: Node) -> Callable[[Request, int | None], Response]:
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415 - an extra

    from apex_rtm.metrics.collect import make_registry  # noqa: PLC0415 - needs the extra

    registry, collector = make_registry(node)

    def answer(request: Request, open_files: int | None) -> Response:
        collector.open_files = open_files
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type, "cache-control": "no-store"})

    return answer


def _explain(_request: Request, _open_files: int | None) -> Response:
    # To whoever asks over the network: the library by name, but not where this server's files are.
    raise Refused("not_found", f"prometheus-client is not installed: {install_line('metrics', 'python')}")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
