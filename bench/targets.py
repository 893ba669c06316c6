"""The targets, each judged from what was measured in this run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.contestants import ALL, VARIANTS
from bench.ledger import Ledger
from bench.plan import Scale

US: Final = "apex-rtm"
_LABELS: Final = {peer.name: peer.label for peer in ALL}
_NOT_PEERS: Final = VARIANTS | {US, "c-limit"}
FLAT: Final = 1.25  # what counts as independent: the noise of a shared machine


@dataclass(frozen=True)
class Verdict:
    """One target. `is_met` is None where it could not be measured."""

    what: str
    target: str
    measured: str
    is_met: bool | None

    @property
    def word(self) -> str:
        """The verdict as it is printed."""
        return {True: "met", False: "**not met**", None: "not measured"}[self.is_met]


def judge(ledger: Ledger, scale: Scale) -> list[Verdict]:
    """Compare everything that was measured with its target."""
    verdicts: list[Verdict] = []
    for scenario, count in (("1000", 1000), ("large", scale.large)):
        for other, most in (("c-limit", 1.3), ("node-ws", 0.6), ("uwebsockets", 1.0), ("centrifugo", 0.7)):
            what = f"CPU per delivery, {count:,} subscribers, one publication at a time, against {_LABELS[other]}"
            verdicts.append(_ratio(ledger, what, f"single-{scenario}", other, most))
        what = f"CPU per delivery, {count:,} subscribers, flood, against {_LABELS['c-limit']}"
        verdicts.append(_ratio(ledger, what, f"flood-{scenario}", "c-limit", 0.3))
    verdicts += [
        _ratio(ledger, f"CPU per publish, one subscriber, against {_LABELS['node-ws']}", "publish", "node-ws", 0.35),
        _most(ledger, "CPU per message in batches of 100", "batch", "cpu_us", 15, "µs"),
        _channels(ledger, scale),
        _memory(ledger),
        _latency(ledger),
        _deflate(ledger),
        _recovery(ledger),
        _durable(ledger),
    ]
    return verdicts


def _ratio(ledger: Ledger, what: str, scenario: str, other: str, most: float) -> Verdict:
    ratio = ledger.ratio(scenario, "cpu_us", US, other)
    target = f"≤ {most:g} ×"
    if ratio is None:
        return Verdict(what, target, "–", None)
    mine, theirs = ledger.median(scenario, US, "cpu_us"), ledger.median(scenario, other, "cpu_us")
    return Verdict(what, target, f"{ratio:.2f} × ({mine:.2f} : {theirs:.2f} µs)", ratio <= most)


def _most(ledger: Ledger, what: str, scenario: str, figure: str, most: float, unit: str) -> Verdict:
    value = ledger.median(scenario, US, figure)
    if value is None:
        return Verdict(what, f"≤ {most:g} {unit}", "–", None)
    return Verdict(what, f"≤ {most:g} {unit}", f"{value:.1f} {unit}", value <= most)


def _channels(ledger: Ledger, scale: Scale) -> Verdict:
    few, many = min(scale.channels), max(scale.channels)
    what = f"CPU per publish to 1 of {many:,} channels with 1 subscriber each, against 1 of {few:,}"
    target = f"independent (≤ {FLAT:g} ×)"
    ratio = ledger.ratio(f"channels-{many}", "cpu_us", US, US, other_scenario=f"channels-{few}")
    if ratio is None:
        return Verdict(what, target, "–", None)
    mine, theirs = (ledger.median(f"channels-{count}", US, "cpu_us") for count in (many, few))
    return Verdict(what, target, f"{ratio:.2f} × ({mine:.1f} : {theirs:.1f} µs)", ratio <= FLAT)


def _memory(ledger: Ledger) -> Verdict:
    what, target = "RSS per idle, subscribed, authenticated connection", "≤ 8 KB"
    value = ledger.median("memory", US, "bytes_each")
    if value is None:
        return Verdict(what, target, "–", None)
    return Verdict(what, target, f"{value / 1024:.1f} KB", value <= 8 * 1024)


def _latency(ledger: Ledger) -> Verdict:
    what, target = "p99 delivery latency, 1,000 subscribers, 100 publications/s", "≤ every peer"
    scenario = "rate-100"
    mine = ledger.median(scenario, US, "p99_us")
    peers = [name for name in ledger.peers(scenario, "p99_us") if name not in _NOT_PEERS]
    if mine is None or not peers:
        return Verdict(what, target, "–", None)
    best = min(peers, key=lambda name: ledger.median(scenario, name, "p99_us") or 0)
    theirs = ledger.median(scenario, best, "p99_us") or 0
    return Verdict(
        what, target, f"{mine / 1000:.1f} ms, best peer {theirs / 1000:.1f} ms ({_LABELS[best]})", mine <= theirs
    )


def _deflate(ledger: Ledger) -> Verdict:
    what = "permessage-deflate: what 1,000 compressed deliveries add each, against what one adds"
    target = "compressed once (≤ 0.1 ×)"
    values = [ledger.median(name, US, "cpu_us") for name in ("deflate-1", "plain-1", "deflate-1000", "plain-1000")]
    deflate_1, plain_1, deflate_1000, plain_1000 = values
    if deflate_1 is None or plain_1 is None or deflate_1000 is None or plain_1000 is None:
        return Verdict(what, target, "–", None)
    once, each = deflate_1 - plain_1, deflate_1000 - plain_1000
    return Verdict(what, target, f"{each:.1f} µs : {once:.1f} µs", each <= 0.1 * max(once, 0))


def _recovery(ledger: Ledger) -> Verdict:
    what, target = "CPU per recovered message after a restart, against a live delivery", "≤ 2 ×"
    ratio = ledger.median("recovery", US, "ratio")
    if ratio is None:
        return Verdict(what, target, "–", None)
    mine, live = ledger.median("recovery", US, "cpu_us"), ledger.median("recovery", US, "live_us")
    return Verdict(what, target, f"{ratio:.2f} × ({mine:.2f} : {live:.2f} µs)", ratio <= 2)


def _durable(ledger: Ledger) -> Verdict:
    what, target = "Durable publishes per second, 50 publishers, sqlite against memory", "≥ 0.5 ×"
    ratio = ledger.ratio("durable-sqlite", "per_second", US, US, other_scenario="durable-memory")
    if ratio is None:
        return Verdict(what, target, "–", None)
    mine, theirs = (ledger.median(f"durable-{engine}", US, "per_second") for engine in ("sqlite", "memory"))
    return Verdict(what, target, f"{ratio:.2f} × ({mine:,.0f} : {theirs:,.0f} /s)", ratio >= 0.5)
