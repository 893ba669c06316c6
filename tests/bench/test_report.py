"""What the benchmark says is read from what it measured."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from bench.chart import Bar, bars, lines
from bench.ledger import Ledger
from bench.plan import QUICK
from bench.targets import Verdict, judge


def _ledger(ours_us: float, limit_us: float) -> Ledger:
    ledger = Ledger()
    ledger.add("single-1000", "apex-rtm", cpu_us=ours_us)
    ledger.add("single-1000", "c-limit", cpu_us=limit_us)
    return ledger


def _against_the_limit(verdicts: list[Verdict]) -> Verdict:
    return next(v for v in verdicts if "1,000 subscribers, one publication at a time, against C" in v.what)


@pytest.mark.parametrize(("ours_us", "is_met"), [(12.9, True), (13.1, False)])
def test_a_target_is_met_or_not_by_the_figures(ours_us: float, is_met: bool) -> None:
    verdict = _against_the_limit(judge(_ledger(ours_us, 10.0), QUICK))
    assert verdict.is_met is is_met
    assert verdict.measured.startswith(f"{ours_us / 10:.2f} ")


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {verdict.is_met for verdict in judge(Ledger(), QUICK)} == {None}


def test_the_latency_to_beat_is_the_best_of_the_peers_and_not_the_limit() -> None:
    ledger = Ledger()
    for peer, p99_us in (("apex-rtm", 5000), ("c-limit", 1000), ("node-ws", 9000), ("uwebsockets", 6000)):
        ledger.add("rate-100", peer, p99_us=p99_us)
    (verdict,) = [v for v in judge(ledger, QUICK) if "p99" in v.what]
    assert verdict.is_met
    assert "6.0 ms" in verdict.measured


def test_ratios_are_taken_within_a_round() -> None:
    ledger = Ledger()
    for ours_us, theirs_us in ((10, 20), (20, 10), (30, 40)):
        ledger.add("x", "a", cpu_us=ours_us)
        ledger.add("x", "b", cpu_us=theirs_us)
    assert ledger.ratio("x", "cpu_us", "a", "b") == 0.75  # of 0.5, 2 and 0.75; that of the medians would be 1
    assert ledger.spread("x", "a", "cpu_us") == (10, 30)


def test_pictures_are_well_formed_and_hold_every_point() -> None:
    series = {"a <b>": [(10.0, 1.0), (1000.0, 3.0)], "c": [(10.0, 2.0), (1000.0, 2.0)]}
    picture = ET.fromstring(lines("growth", "subscribers", "µs", series, log_y=True))
    space = {"s": "http://www.w3.org/2000/svg"}
    assert len(picture.findall("s:polyline", space)) == 2
    assert "a <b>" in [text.text for text in picture.findall("s:text", space)]
    bar = ET.fromstring(bars("cost", "µs", [Bar("apex-rtm", 8.5, 8.0, 9.0)]))
    assert "8.50 µs" in [text.text for text in bar.findall("s:text", space)]
