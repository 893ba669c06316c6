"""Names that follow Prometheus' rules, figures that say what happened, and an answer that does not grow."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from apex_rtm import codes
from apex_rtm.counts import BOUNDS_S
from apex_rtm.edge.intake import Intake
from apex_rtm.metrics.collect import make_registry
from apex_rtm.metrics.node import Node
from apex_rtm.publish import Publisher
from apex_rtm.relay.counts import Counts as RelayCounts
from apex_rtm.revocations import Revocation
from tests.support.core import Core, make_message
from tests.support.exposition import Samples, read_samples
from tests.support.fault import FaultyEngine

UNITS = ("seconds", "bytes")


class Scraped:
    """A server without sockets whose figures can be read at any time."""

    def __init__(self, core: Core, relay: RelayCounts | None = None) -> None:
        self.core = core
        intake = Intake(1000, 100, 10, 5.0)
        node = Node(core.hub, core.quota, intake, "memory", "open", 1 << 24, 25.0, relay, core.clock.monotonic)
        self._registry, self.collector = make_registry(node)
        self.collector.open_files = 100

    def text(self) -> str:
        return generate_latest(self._registry).decode()

    def samples(self) -> Samples:
        return read_samples(self.text())


@pytest.fixture
async def scraped() -> Scraped:
    return Scraped(await Core().start(), RelayCounts())


# ── names ──


def test_names_follow_the_rules(scraped: Scraped) -> None:
    """Those of `promtool check metrics`: prefix, snake case, base units, _total for counters and for nothing else."""
    scraped.core.hub.counts.requests["/", "2xx"] = 1
    families = list(text_string_to_metric_families(scraped.text()))

    assert len(families) > 40
    for family in families:
        assert re.fullmatch(r"(apex_rtm|process)_[a-z0-9_]+", family.name), family.name
        assert family.documentation.endswith("."), family.name
        for sample in family.samples:
            if family.type == "counter":
                assert sample.name == f"{family.name}_total"
            else:
                assert not sample.name.endswith("_total"), sample.name
            assert all(re.fullmatch(r"[a-z_]+", label) for label in sample.labels)
        assert not re.search(r"(_ms|_milliseconds|_kb|_mb|_minutes)(_|$)", family.name), family.name
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


def test_units_stand_at_the_end_of_names(scraped: Scraped) -> None:
    for family in text_string_to_metric_families(scraped.text()):
        words = re.sub(r"_limit$", "", family.name).split("_")
        assert not set(words[:-1]) & set(UNITS), family.name


# ── what moves ──


async def test_a_publication_moves_what_speaks_of_it(scraped: Scraped) -> None:
    clients = [scraped.core.open() for _ in range(3)]
    for client in clients:
        client.subscribe("a")
    before = scraped.samples()

    await scraped.core.engine.publish([make_message("a", "x" * 100), make_message("b")])

    after = scraped.samples()
    moved = {name: after[name] - value for name, value in before.items() if after[name] != value}
    assert before["apex_rtm_fanout_seconds_sum"] == after["apex_rtm_fanout_seconds_sum"] == 0  # this clock stands still
    delivered = moved.pop("apex_rtm_delivered_bytes_total")
    assert 300 < delivered < 900
    buckets = {name for name in moved if name.startswith("apex_rtm_fanout_seconds_bucket")}
    assert buckets
    assert all(moved.pop(name) == 1 for name in buckets)
    for name in list(moved):
        if name.startswith("process_"):
            del moved[name]
    assert moved.pop("apex_rtm_log_bytes") > 0
    assert moved == {
        "apex_rtm_publications_total": 2,
        "apex_rtm_deliveries_total": 3,
        "apex_rtm_fanout_seconds_count": 1,
        "apex_rtm_log_channels": 2,
        "apex_rtm_log_publications": 2,
    }
    assert after['apex_rtm_namespace_publications_total{namespace="other"}'] == 2


async def test_subscriptions_and_channels_come_and_go(scraped: Scraped) -> None:
    client = scraped.core.open()
    client.subscribe("a")
    client.subscribe("b*")
    samples = scraped.samples()
    assert samples["apex_rtm_connections"] == 1
    assert samples["apex_rtm_subscriptions"] == 2
    assert samples["apex_rtm_subscribed_channels"] == 1

    client.session.on_closed()

    samples = scraped.samples()
    assert (samples["apex_rtm_connections"], samples["apex_rtm_subscriptions"]) == (0, 0)


async def test_recoveries_are_counted_by_their_answer(scraped: Scraped) -> None:
    core = scraped.core
    first = core.open().subscribe("a")
    await core.publish("a")
    core.open().say(type="subscribe", channel="a", since={"epoch": first["epoch"], "offset": 0})
    core.open().subscribe("a", since={"epoch": "another", "offset": 0})

    samples = scraped.samples()
    assert samples['apex_rtm_recoveries_total{recovered="true"}'] == 1
    assert samples['apex_rtm_recoveries_total{recovered="false"}'] == 1
    assert samples["apex_rtm_replayed_total"] == 1


async def test_trouble_of_the_engine_is_seen() -> None:
    core = await Core().start()
    core.hub.engine = engine = FaultyEngine(core.engine)
    scraped = Scraped(core)
    publisher = Publisher(
        engine, core.clock, max_message_bytes=1000, max_batch_messages=10, max_json_depth=10, publish_rate=0,
        counts=core.hub.counts,
    )  # fmt: skip
    assert scraped.samples()["apex_rtm_engine_trouble"] == 0

    engine.trouble = "the disk is full"
    await publisher.publish_batch(json.dumps({"messages": [{"channel": "a"}, {"channel": "b"}]}).encode())

    samples = scraped.samples()
    assert samples["apex_rtm_engine_trouble"] == 1
    assert samples["apex_rtm_engine_unavailable_messages_total"] == 2
    assert samples["apex_rtm_engine_append_seconds_count"] == 1


async def test_a_slow_peer_is_seen_while_it_is_slow_and_when_it_is_closed(scraped: Scraped) -> None:
    client = scraped.core.open()
    client.peer.waiting = 70_000
    scraped.core.hub.counts.paused.add(client.peer)
    samples = scraped.samples()
    assert (samples["apex_rtm_slow_connections"], samples["apex_rtm_outbox_waiting_bytes"]) == (1, 70_000)

    client.session.on_stalled()

    assert scraped.samples()["apex_rtm_slow_closes_total"] == 1


async def test_revocations_are_counted_and_forgotten(scraped: Scraped) -> None:
    core = scraped.core
    for user, channel in (("SCOTT", None), ("SCOTT", "a"), ("KING", "a")):
        await core.hub.revoke(Revocation(user, None, channel, core.clock.now()))
    samples = scraped.samples()
    assert (samples["apex_rtm_revocations_total"], samples["apex_rtm_revocations_in_force"]) == (3, 3)

    core.revocations.tidy(core.clock.now() + 90_000)

    samples = scraped.samples()
    assert (samples["apex_rtm_revocations_total"], samples["apex_rtm_revocations_in_force"]) == (3, 0)


async def test_draining_is_said(scraped: Scraped) -> None:
    scraped.core.hub.draining = True

    assert scraped.samples()["apex_rtm_draining"] == 1


async def test_the_relay_is_there_where_it_runs() -> None:
    core = await Core().start()
    relay = RelayCounts(sent=7, refused=2, parked=1, batches=3, publish_failures=4, database_failures=5, connections=6)
    relay.is_connected, relay.waiting_since_s = True, core.clock.monotonic() - 12

    samples = Scraped(core, relay).samples()

    assert {name: value for name, value in samples.items() if "_relay_" in name} == {
        "apex_rtm_relay_sent_total": 7,
        "apex_rtm_relay_refused_total": 2,
        "apex_rtm_relay_parked_total": 1,
        "apex_rtm_relay_batches_total": 3,
        "apex_rtm_relay_publish_failures_total": 4,
        "apex_rtm_relay_database_failures_total": 5,
        "apex_rtm_relay_connects_total": 6,
        "apex_rtm_relay_connected": 1,
        "apex_rtm_relay_woken": 0,
        "apex_rtm_relay_lag_seconds": 12,
    }
    assert not [name for name in Scraped(core).samples() if "_relay_" in name]


# ── histograms and bounds ──


def test_a_histogram_is_cumulative(scraped: Scraped) -> None:
    appends = scraped.core.hub.counts.appends
    for seconds in (0.0001, 0.02, 0.02, 99.0):
        appends.observe(seconds)

    samples = scraped.samples()
    name = "apex_rtm_engine_append_seconds"
    values = [samples[f'{name}_bucket{{le="{bound}"}}'] for bound in [*BOUNDS_S, "+Inf"]]
    assert values == sorted(values)
    assert (values[0], samples[f'{name}_bucket{{le="0.025"}}'], values[-1]) == (1, 3, 4)
    assert samples[f"{name}_count"] == 4
    assert samples[f"{name}_sum"] == pytest.approx(99.0401)


async def test_ten_thousand_channels_do_not_make_the_answer_longer() -> None:
    core = await Core(max_channels=20_000, max_bytes=1 << 30).start()
    scraped = Scraped(core)
    await core.publish("first")
    lines = len(scraped.samples())

    await core.engine.publish([make_message(f"channel:{number}") for number in range(10_000)])

    samples = scraped.samples()
    assert len(samples) == lines
    assert samples["apex_rtm_log_channels"] == 10_001


def test_codes_that_a_peer_invents_are_one_label(scraped: Scraped) -> None:
    scraped.core.hub.counts.closes = Counter(dict.fromkeys(range(1000, 5000), 1))

    closed = {name: n for name, n in scraped.samples().items() if name.startswith("apex_rtm_connections_closed_total")}

    assert len(closed) < 30
    assert sum(closed.values()) == 4000
    assert closed[f'apex_rtm_connections_closed_total{{code="{codes.SLOW.code}"}}'] == 1
    assert closed['apex_rtm_connections_closed_total{code="other"}'] > 3900
