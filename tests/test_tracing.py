"""Traces: the caller's context comes in, a span is made, and the message carries it on. Off, nothing is there."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from apex_rtm import tracing
from apex_rtm.app import compose
from apex_rtm.edge.http import Api, make_app
from apex_rtm.errors import ConfigurationError
from apex_rtm.message import Message, decode_message
from apex_rtm.publish import Publisher
from apex_rtm.settings import load_settings
from apex_rtm.tracing import Tracing, carry, make_tracing
from tests.support.core import Client, Core
from tests.support.server import run_server

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE_ID}-b7ad6b7169203331-01"
OTHER = "00-11111111111111111111111111111111-2222222222222222-01"


class Traced:
    """A server without sockets that traces into memory, and a subscriber of channel `a`."""

    def __init__(self, core: Core, *, is_traced: bool = True) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        publisher = Publisher(
            core.engine, core.clock, max_message_bytes=1000, max_batch_messages=10, max_json_depth=10, publish_rate=0
        )
        made = Tracing(provider.get_tracer("test")) if is_traced else None
        app = make_app(Api(core.hub, publisher, core.authorizer, core.clock, 10_000, 10, 5.0, made))
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
        self.subscriber: Client = core.open()
        self.subscriber.subscribe("a")

    async def post(self, body: Any, path: str = "", **headers: str) -> httpx.Response:
        return await self.http.post(f"/api/broadcast{path}", json=body, headers=headers)

    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())


@pytest.fixture
async def traced() -> Traced:
    return Traced(await Core().start())


def context_of(span: ReadableSpan) -> str:
    """The `traceparent` of a span."""
    assert span.context is not None
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"


async def test_the_span_is_the_callers_child_and_the_message_carries_it(traced: Traced) -> None:
    answer = await traced.post({"channel": "a", "payload": 1}, traceparent=CALLER)

    (span,) = traced.spans()
    publication = traced.subscriber.peer.take_one()
    assert answer.status_code == 200
    assert (span.name, span.kind) == ("publish", SpanKind.PRODUCER)
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACE_ID
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert publication["meta"] == {"traceparent": context_of(span)}
    assert span.attributes is not None
    assert span.attributes["messaging.destination.name"] == "a"
    assert span.attributes["messaging.batch.message_count"] == 1


@pytest.mark.parametrize("headers", [{}, {"traceparent": "nonsense"}, {"traceparent": "00-0-0-01"}])
async def test_without_a_context_of_the_caller_a_trace_begins(traced: Traced, headers: dict[str, str]) -> None:
    await traced.post({"channel": "a"}, **headers)

    (span,) = traced.spans()
    assert span.parent is None
    assert traced.subscriber.peer.take_one()["meta"]["traceparent"] == context_of(span)


async def test_a_batch_is_one_span(traced: Traced) -> None:
    await traced.post({"messages": [{"channel": "a"}, {"channel": ""}, {"channel": "a"}]}, "/batch", traceparent=CALLER)

    (span,) = traced.spans()
    metas = [frame["meta"] for frame in traced.subscriber.peer.take()]
    assert metas == [{"traceparent": context_of(span)}] * 2
    assert span.attributes is not None
    assert span.attributes["messaging.batch.message_count"] == 2


async def test_a_refusal_is_a_failed_span_without_what_was_sent(traced: Traced) -> None:
    answer = await traced.post({"channel": "", "payload": "secret"}, traceparent=CALLER)

    (span,) = traced.spans()
    assert answer.status_code == 400
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "channel_required")
    assert span.attributes is not None
    assert span.attributes["error.type"] == "channel_required"
    assert "secret" not in span.to_json()


async def test_without_tracing_nothing_is_added() -> None:
    plain = Traced(await Core().start(), is_traced=False)

    await plain.post({"channel": "a"}, traceparent=CALLER)

    assert "meta" not in plain.subscriber.peer.take_one()
    assert plain.spans() == []


# ── the message ──


def message(**members: Any) -> Message:
    return decode_message(json.dumps({"channel": "a", **members}).encode())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"null", b'{"traceparent":"%s"}'), (b"{}", b'{"traceparent":"%s"}'), (b"{  }", b'{"traceparent":"%s"  }'),
        (b'{"user": "SCOTT",  "n": 1.0}', b'{"traceparent":"%s","user": "SCOTT",  "n": 1.0}'),
        (b'{"a":{"traceparent":"inner"}}', b'{"traceparent":"%s","a":{"traceparent":"inner"}}'),
    ],
)  # fmt: skip
def test_the_rest_of_meta_stays_as_it_was_written(before: bytes, after: bytes) -> None:
    found = carry(decode_message(b'{"channel":"a","meta":%b}' % before), OTHER)

    assert bytes(found.meta) == after % OTHER.encode()
    json.loads(bytes(found.meta))


def test_a_context_of_the_publisher_is_left_alone() -> None:
    sent = message(meta={"traceparent": CALLER})

    assert carry(sent, OTHER) is sent
    assert carry(sent, None) is sent


# ── the setting ──


def test_it_is_off_unless_it_is_wanted() -> None:
    assert make_tracing(is_wanted=False) is None
    assert compose(load_settings({"engine": "memory"}, {})).intake.doors is not None


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_is_installed", lambda _name: False)

    with pytest.raises(ConfigurationError, match=r"tracing: .* pip install 'opentelemetry-api>=1.30'"):
        make_tracing(is_wanted=True)


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes spans as an OpenTelemetry collector does."""

    received: list[ExportTraceServiceRequest]
    arrived: threading.Event

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()
        self.arrived.set()

    def log_message(self, *_arguments: object) -> None:
        """Be quiet."""


@pytest.fixture
def collector() -> Iterator[tuple[type[Collector], str]]:
    handler = type("Fresh", (Collector,), {"received": [], "arrived": threading.Event()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield handler, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_real_server_sends_its_spans_to_a_collector(
    tmp_path: Path, collector: tuple[type[Collector], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, url = collector
    monkeypatch.setitem(os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setitem(os.environ, "OTEL_BSP_SCHEDULE_DELAY", "100")
    with run_server(tmp_path / "data", tracing="true") as server, server.client() as client:
        answer = client.post("/api/broadcast", json={"channel": "a"}, headers={"traceparent": CALLER})
        (publication,) = client.get("/api/channels/a/history").json()["publications"]
        assert handler.arrived.wait(20)

    (resource,) = handler.received[0].resource_spans
    (span,) = resource.scope_spans[0].spans
    assert answer.json()["ok"] is True
    assert span.name == "publish"
    assert span.trace_id.hex() == TRACE_ID
    assert publication["meta"] == {"traceparent": f"00-{TRACE_ID}-{span.span_id.hex()}-01"}
    assert "apex-rtm" in {attribute.value.string_value for attribute in resource.resource.attributes}
