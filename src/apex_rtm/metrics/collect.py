"""What Prometheus is told: one family of samples for each figure of `Node`, read at the moment of the scrape.

Labels come from closed sets (routes, codes, configured namespaces), so that the answer has the same size with ten
channels and with a million. Needs the library; `metrics` itself does not.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from apex_rtm import __version__, codes
from apex_rtm.codes import Close
from apex_rtm.counts import BOUNDS_S, Tally
from apex_rtm.metrics.node import Node
from apex_rtm.metrics.process import STARTED_AT, max_files, memory_bytes
from apex_rtm.relay.counts import Counts as RelayCounts

_CLOSE_CODES: Final = frozenset(
    {1000, 1001, 1002, 1005, 1006, 1011} | {one.code for one in vars(codes).values() if isinstance(one, Close)}
)
"""A peer may send any of two thousand codes: those that mean nothing here are one label."""


def make_registry(node: Node) -> tuple[CollectorRegistry, NodeCollector]:
    """A registry of this server alone, and what it reads."""
    registry = CollectorRegistry(auto_describe=False)
    collector = NodeCollector(node)
    registry.register(collector)
    return registry, collector


class NodeCollector(Collector):
    """What prometheus_client calls at each scrape. `open_files` is counted before, because that may take a while."""

    def __init__(self, node: Node) -> None:
        self.open_files: int | None = None
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """Read everything once."""
        node = self._node
        yield from _messages(node)
        yield from _connections(node)
        yield from _log(node)
        yield from _rights_and_requests(node)
        if node.relay is not None:
            yield from _relay(node.relay, node.monotonic())
        yield from _process(self.open_files)


def _messages(node: Node) -> Iterator[Metric]:
    counts, journal = node.hub.counts, node.hub.journal
    yield _counter("publications", "Publications handed out to subscribers.", counts.publications)
    namespaces = [((name,), number) for name, number in sorted(journal.published.items())]
    about = "Publications by configured namespace; other: all that fit none."
    yield _counters("namespace_publications", about, ("namespace",), namespaces)
    yield _counter("deliveries", "Publications written to connections, one for each of them.", counts.deliveries)
    about = "Bytes of those deliveries with their framing, before compression."
    yield _counter("delivered_bytes", about, counts.delivered_bytes)
    yield _counter("replayed", "Publications written to connections that came back for them.", counts.replayed)
    yield _histogram("fanout_seconds", "Writing one flush of the engine to all its subscribers.", counts.fanout)
    yield _histogram("engine_append_seconds", "From handing messages to the engine to its answer.", counts.appends)
    about = "Messages that the engine could not take."
    yield _counter("engine_unavailable_messages", about, counts.unavailable)
    about = "1 while the log cannot be written."
    yield _gauge("engine_trouble", about, node.hub.engine.trouble is not None)
    recoveries = [(("true",), counts.recovered), (("false",), counts.not_recovered)]
    about = "Subscriptions with since, by the answer recovered."
    yield _counters("recoveries", about, ("recovered",), recoveries)


def _connections(node: Node) -> Iterator[Metric]:
    hub, counts = node.hub, node.hub.counts
    yield _gauge("connections", "WebSocket connections.", len(hub.sessions))
    yield _gauge("connections_limit", "WebSocket connections that there may be; 0: no limit.", node.quota.total)
    yield _gauge("users", "Different users who are connected.", len(node.quota.users))
    yield _gauge("subscriptions", "Live subscriptions of all connections.", hub.registry.count)
    yield _gauge("subscribed_channels", "Channels that somebody named in a subscription.", hub.registry.channel_count)
    yield _counter("connections_opened", "WebSocket handshakes that were accepted.", counts.opened)
    closes: dict[tuple[str, ...], int] = {}
    for code, number in counts.closes.items():
        label = (str(code) if code in _CLOSE_CODES else "other",)
        closes[label] = closes.get(label, 0) + number
    yield _counters("connections_closed", "WebSockets that ended, by close code.", ("code",), sorted(closes.items()))
    yield _counter("slow_closes", "Connections closed with 4002 because their peer did not read.", counts.closed_slow)
    about = "Connections closed with 4007 because they may have missed something of another node."
    yield _counter("resync_closes", about, counts.closed_resync)
    about = "Connections in front of which something waits, because their peer reads more slowly than it is written to."
    yield _gauge("slow_connections", about, len(counts.paused))
    waiting = sum(connection.waiting_bytes for connection in counts.paused)
    yield _gauge("outbox_waiting_bytes", "Bytes that wait in those connections.", waiting)
    yield _gauge("http_connections", "TCP connections that are not WebSockets.", node.intake.sockets)
    yield _histogram("loop_lag_seconds", "How late the event loop came back to a sleeping task.", counts.loop_lag)
    yield _gauge("draining", "1 while the server is about to stop.", hub.draining)
    about = "Always 1; says what runs."
    yield _gauges("info", about, ("version", "engine", "mode"), [((__version__, node.engine, node.mode), 1)])


def _log(node: Node) -> Iterator[Metric]:
    journal = node.hub.journal
    yield _gauge("log_channels", "Channels with a log.", len(journal.channels))
    yield _gauge("log_publications", "Publications kept for recovery and history.", journal.count)
    yield _gauge("log_bytes", "Bytes of memory that they take.", journal.size_bytes)
    yield _gauge("log_bytes_limit", "Bytes that they may take (log_max_bytes).", node.log_max_bytes)


def _rights_and_requests(node: Node) -> Iterator[Metric]:
    counts = node.hub.counts
    about = "What was refused, by surface (http, websocket) and error code."
    yield _counters("refusals", about, ("surface", "code"), sorted(counts.refusals.items()))
    yield _counter("revocations", "Times that rights were taken away.", counts.revocations)
    yield _gauge("revocations_in_force", "Revocations that are remembered.", len(node.hub.revocations))
    about = "HTTP requests by route and class of status."
    yield _counters("http_requests", about, ("route", "status"), sorted(counts.requests.items()))
    about = "Time of HTTP requests by route."
    family = HistogramMetricFamily("apex_rtm_http_request_seconds", about, labels=["route"])
    for route, times in sorted(counts.request_times.items()):
        family.add_metric([route], _buckets(times), times.sum_s)
    yield family


def _relay(relay: RelayCounts, now_s: float) -> Iterator[Metric]:
    yield _counter("relay_sent", "Rows of the outbox that were published and marked.", relay.sent)
    yield _counter("relay_refused", "Refusals of rows; one row may be refused several times.", relay.refused)
    yield _counter("relay_parked", "Rows that were given up after too many refusals.", relay.parked)
    yield _counter("relay_batches", "Batches that were sent.", relay.batches)
    yield _counter("relay_publish_failures", "Batches that could not be published.", relay.publish_failures)
    yield _counter("relay_database_failures", "Failures of the database.", relay.database_failures)
    yield _counter("relay_connects", "Times that the database was connected to.", relay.connections)
    yield _gauge("relay_connected", "1 while there is a session in the database.", relay.is_connected)
    yield _gauge("relay_woken", "1 while the database wakes the relay.", relay.is_woken)
    yield _gauge("relay_lag_seconds", "How long the oldest known row has been waiting.", relay.lag_s(now_s))


def _process(open_files: int | None) -> Iterator[Metric]:
    """The usual names, which dashboards for any program know."""
    about = "Memory that the process holds, in bytes."
    yield GaugeMetricFamily("process_resident_memory_bytes", about, value=memory_bytes())
    yield CounterMetricFamily("process_cpu_seconds", "Time of a processor that it has used.", value=time.process_time())
    about = "When it was started, in seconds since 1970."
    yield GaugeMetricFamily("process_start_time_seconds", about, value=STARTED_AT)
    yield GaugeMetricFamily("process_max_fds", "File descriptors that it may have.", value=max_files())
    if open_files is not None:
        yield GaugeMetricFamily("process_open_fds", "File descriptors that it has.", value=open_files)


def _counter(name: str, about: str, value: float) -> Metric:
    return _counters(name, about, (), [((), value)])


def _counters(
    name: str, about: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
) -> Metric:
    family = CounterMetricFamily(f"apex_rtm_{name}", about, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family


def _gauge(name: str, about: str, value: float) -> Metric:
    return _gauges(name, about, (), [((), value)])


def _gauges(name: str, about: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(f"apex_rtm_{name}", about, labels=labels)
    for label, value in values:
        family.add_metric(label, float(value))
    return family


def _histogram(name: str, about: str, tally: Tally) -> Metric:
    family = HistogramMetricFamily(f"apex_rtm_{name}", about, labels=[])
    family.add_metric([], _buckets(tally), tally.sum_s)
    return family


def _buckets(tally: Tally) -> list[tuple[str, float]]:
    bounds = [*(repr(bound) for bound in BOUNDS_S), "+Inf"]
    return list(zip(bounds, accumulate(tally.counts), strict=True))
