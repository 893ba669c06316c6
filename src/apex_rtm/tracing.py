"""Traces with OpenTelemetry: a call that publishes is a span, and whoever receives the message can go on with it.

Off unless the setting `tracing` is on; then a request pays for its span and nothing else does. The context travels as
W3C Trace Context (`traceparent`) in the message's `meta`, where browsers and other consumers find it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec

from apex_rtm.errors import ConfigurationError, RtmError
from apex_rtm.extras import install_line
from apex_rtm.message import Message

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

Mark = Callable[[Message], Message]
"""Puts the context of a span into a message that belongs to it."""


class Tracing:
    """Makes the spans of one server."""

    def __init__(self, tracer: Tracer) -> None:
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - an extra
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - an extra

        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()
        self._producer = SpanKind.PRODUCER

    @contextlib.contextmanager
    def publishing(self, headers: Mapping[str, str]) -> Iterator[Mark]:
        """A span for one call, a child of the caller's `traceparent` where there is one. Ends with the block."""
        caller = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        with self._tracer.start_as_current_span(
            "publish",
            context=self._propagator.extract(caller),
            kind=self._producer,
            attributes={"messaging.system": "apex-rtm", "messaging.operation.name": "publish"},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            carrier: dict[str, str] = {}
            self._propagator.inject(carrier)
            count = 0

            def mark(message: Message) -> Message:
                nonlocal count
                count += 1
                span.set_attribute("messaging.batch.message_count", count)
                if count == 1:
                    span.set_attribute("messaging.destination.name", message.channel or "")
                return carry(message, carrier.get("traceparent"))

            try:
                yield mark
            except RtmError as error:
                span.set_status(_failed(), error.code)
                span.set_attribute("error.type", error.code)
                raise


def carry(message: Message, traceparent: str | None) -> Message:
    """Put a trace context into `meta`, unless there is one: a publisher that traces by itself knows better.

    The rest of `meta` stays the bytes that the sender wrote.
    """
    if traceparent is None:
        return message
    meta = bytes(message.meta)
    member = b'"traceparent":' + msgspec.json.encode(traceparent)
    if meta == b"null":
        return msgspec.structs.replace(message, meta=msgspec.Raw(b"{" + member + b"}"))
    members = msgspec.json.decode(meta, type=dict[str, msgspec.Raw])
    if "traceparent" in members:
        return message
    rest = meta[1:]
    comma = b"," if members else b""
    return msgspec.structs.replace(message, meta=msgspec.Raw(b"{" + member + comma + rest))


def make_tracing(*, is_wanted: bool) -> Tracing | None:
    """Tracing as the settings want it. Raises ConfigurationError where OpenTelemetry is not installed.

    Where the process was started by `opentelemetry-instrument`, its provider is used; otherwise spans go where the
    OTEL_EXPORTER_OTLP_ variables say.
    """
    if not is_wanted:
        return None
    if not _is_installed("opentelemetry.sdk") or not _is_installed("opentelemetry.exporter.otlp.proto.http"):
        raise ConfigurationError([f"tracing: OpenTelemetry is not installed: {install_line('otel')}"])
    from opentelemetry import trace  # noqa: PLC0415 - an extra

    provider: Any = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):  # nobody has set one
        provider = _make_provider()
    return Tracing(provider.get_tracer("apex_rtm"))


def _make_provider() -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra

    provider = TracerProvider(resource=Resource.create({"service.name": "apex-rtm"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))  # in a thread of its own; flushed at exit
    return provider


def _failed() -> Any:
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - an extra

    return StatusCode.ERROR


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
