"""What a run leaves behind: tables between the markers of docs/performance.md, pictures, every sample as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from bench.chart import Bar, bars, lines
from bench.contestants import ALL
from bench.ledger import Ledger
from bench.plan import Scale
from bench.targets import Verdict

DOCS: Final = Path(__file__).parent.parent / "docs"
PAGE: Final = DOCS / "performance.md"
PICTURES: Final = DOCS / "performance"
_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"
_CHECKED: Final = (
    ("single-1000", "one at a time, 1,000"),
    ("flood-1000", "flood, 1,000"),
    ("rate-100", "100/s, 1,000"),
    ("single-large", "one at a time, many thousands"),
    ("flood-large", "flood, many thousands"),
)
_HARDLY_EVER: Final = 0.02
_LABELS: Final = {peer.name: peer.label for peer in ALL}


def print_report(ledger: Ledger, verdicts: Sequence[Verdict]) -> None:
    """Say on the terminal what a person wants to know first."""
    for verdict in verdicts:
        if verdict.is_met is not None:
            click.echo(
                f"{'met    ' if verdict.is_met else 'NOT MET'}  {verdict.what}: "
                f"{verdict.measured}, target {verdict.target}"
            )
    click.echo(_self_check(ledger))
    for note in ledger.notes:
        click.echo(f"note: {note}")


def write_report(ledger: Ledger, verdicts: Sequence[Verdict], machine: dict[str, Any], scale: Scale) -> Iterator[Path]:
    """Write everything; yields each file."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    verdict_rows = [{"what": v.what, "target": v.target, "measured": v.measured, "met": v.is_met} for v in verdicts]
    data = {"machine": machine, "targets": verdict_rows, **ledger.as_json()}
    results = PICTURES / "results.json"
    results.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    yield results
    pictures = dict(_pictures(ledger, scale))
    for name, (_, svg) in pictures.items():
        path = PICTURES / f"{name}.svg"
        path.write_text(svg)
        yield path
    text = "\n\n".join(_sections(ledger, verdicts, machine, scale, {name: alt for name, (alt, _) in pictures.items()}))
    page = PAGE.read_text()
    begin, end = page.index(_BEGIN) + len(_BEGIN), page.index(_END)
    PAGE.write_text(f"{page[:begin]}\n\n{text}\n\n{page[end:]}")
    yield PAGE


def _sections(
    ledger: Ledger, verdicts: Sequence[Verdict], machine: dict[str, Any], scale: Scale, pictures: dict[str, str]
) -> Iterator[str]:
    yield _machine(machine)
    yield "### Targets\n\n" + _table(
        ("what", "target", "measured", ""), [(v.what, v.target, v.measured, v.word) for v in verdicts]
    )
    for scenario, count in (("1000", 1000), ("large", scale.large)):
        yield f"### One channel, {count:,} subscribers\n\n" + _delivery_table(ledger, scenario)
    yield "### Latency, 1,000 subscribers, milliseconds\n\n" + _latency_table(ledger)
    yield "### One subscriber, and memory\n\n" + _small_table(ledger)
    yield _ours(ledger)
    yield "### Growth\n\n" + "\n\n".join(f"![{alt}](performance/{name}.svg)" for name, alt in pictures.items())
    yield "### Was the load generator the bottleneck?\n\n" + _self_check(ledger)
    if ledger.notes:
        yield "### What did not go through\n\n" + "\n".join(f"* {note}" for note in ledger.notes)


def _machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    text = (
        f"Measured on {machine['date']} at commit `{machine['commit']}`, in {machine['seconds']} s: "
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
        f"TCP {machine['congestion_control']}, {'io_uring' if machine['io_uring'] else 'no io_uring'}. "
        f"{versions}."
    )
    for name, reason in machine["missing"].items():
        text += f" {_LABELS[name]} took no part: {reason}."
    return text


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join(text + [f"| {' | '.join(row)} |" for row in rows])


def _cell(
    ledger: Ledger,
    scenario: str,
    peer: str,
    figure: str,
    *,
    divide: float = 1,
    digits: int = 2,
    with_spread: bool = True,
) -> str:
    value, spread = ledger.median(scenario, peer, figure), ledger.spread(scenario, peer, figure)
    if value is None or spread is None:
        return "–"
    low, high = (f"{bound / divide:,.{digits}f}" for bound in spread)
    if low == high or not with_spread:
        return f"{value / divide:,.{digits}f}"
    return f"{value / divide:,.{digits}f} ({low}–{high})"


def _against(ledger: Ledger, scenario: str, peer: str) -> str:
    ratio = ledger.ratio(scenario, "cpu_us", peer, "c-limit")
    return "–" if ratio is None else f"{ratio:.2f}"


def _delivery_table(ledger: Ledger, scenario: str) -> str:
    rows = []
    for peer in ledger.peers(f"single-{scenario}", "cpu_us"):
        cells = [_LABELS[peer]]
        for load in ("single", "back-to-back", "flood"):
            cells += [_cell(ledger, f"{load}-{scenario}", peer, "cpu_us"), _against(ledger, f"{load}-{scenario}", peer)]
        rows.append([*cells, _cell(ledger, f"flood-{scenario}", peer, "per_second", digits=0)])
    head = (
        "CPU µs a delivery", "one at a time", "× C loop", "back to back", "× C loop", "flood", "× C loop",
        "a second, flood",
    )  # fmt: skip
    return _table(head, rows)


def _latency_table(ledger: Ledger) -> str:
    rows = []
    for peer in ledger.peers("single-1000", "p50_us"):
        cells = [_LABELS[peer]]
        for scenario in ("single-1000", "rate-20", "rate-100", "flood-1000"):
            cells.append(_cell(ledger, scenario, peer, "p50_us", divide=1000, digits=1, with_spread=False))
            cells.append(_cell(ledger, scenario, peer, "p99_us", divide=1000, digits=1))
        rows.append(cells)
    head = ["", *(f"{load} {p}" for load in ("one at a time", "20/s", "100/s", "flood") for p in ("p50", "p99"))]
    return _table(head, rows)


def _small_table(ledger: Ledger) -> str:
    peers = ledger.peers("publish", "cpu_us") or ledger.peers("memory", "bytes_each")
    rows = [
        (
            _LABELS[peer],
            _cell(ledger, "publish", peer, "cpu_us", digits=1),
            _cell(ledger, "memory", peer, "bytes_each", divide=1024, digits=1),
            _cell(ledger, "memory", peer, "base_bytes", divide=1e6, digits=0),
        )
        for peer in peers
    ]
    return _table(("", "CPU µs a publish, one subscriber", "KB a connection", "MB without connections"), rows)


def _ours(ledger: Ledger) -> str:
    rows = []
    for what, scenario, figure, unit in (
        ("CPU a message in batches of 100", "batch", "cpu_us", "µs"),
        ("CPU a delivery of 2,000 bytes, 1,000 subscribers", "plain-1000", "cpu_us", "µs"),
        ("the same with permessage-deflate", "deflate-1000", "cpu_us", "µs"),
        ("CPU a publish of 2,000 bytes, 1 subscriber", "plain-1", "cpu_us", "µs"),
        ("the same with permessage-deflate", "deflate-1", "cpu_us", "µs"),
        ("CPU a recovered message", "recovery", "cpu_us", "µs"),
        ("CPU a handshake, for each client that comes back", "recovery", "handshake_us", "µs"),
        ("everybody recovered after", "recovery", "wall_s", "s"),
        ("publishes a second, 50 publishers, engine memory", "durable-memory", "per_second", "/s"),
        ("publishes a second, 50 publishers, engine sqlite", "durable-sqlite", "per_second", "/s"),
        ("p99 of a durable publish", "durable-sqlite", "p99_us", "µs"),
    ):
        if ledger.has(scenario, "apex-rtm", figure):
            digits = 0 if unit == "/s" else 2
            rows.append((what, f"{_cell(ledger, scenario, 'apex-rtm', figure, digits=digits)} {unit}"))
    return "### apex-rtm alone\n\n" + _table(("what", "measured"), rows)


def _self_check(ledger: Ledger) -> str:
    """Say what the generator itself cost. Everything it does for a delivery is one read, which somebody has to do."""
    rows, never_waited = [], 0
    for scenario, load in _CHECKED:
        own, idle = (
            [
                v
                for (name, _, found), values in ledger.samples.items()
                if (name, found) == (scenario, figure)
                for v in values
            ]
            for figure in ("generator_us", "generator_idle")
        )
        if own:
            never_waited += sum(share < _HARDLY_EVER for share in idle)
            rows.append(
                (load, f"{statistics.median(own):.1f} µs", f"{min(idle):.0%}", f"{statistics.median(idle):.0%}")
            )
    if not rows:
        return "The generator was not compared in this run."
    head = ("load", "CPU of the generator a delivery", "waited with nothing to do, least", "median")
    verdict = (
        "It waited for the server in every turn, so it was never the bottleneck."
        if not never_waited
        else f"Turns in which it hardly waited: {never_waited}. Its speed may show in their latency, not in the CPU."
    )
    return f"{_table(head, rows)}\n\n{verdict}"


def _pictures(ledger: Ledger, scale: Scale) -> Iterator[tuple[str, tuple[str, str]]]:
    for scenario, kind, count in (
        ("single-1000", "one publication at a time", 1000), ("flood-1000", "flood", 1000),
        ("single-large", "one publication at a time", scale.large),
    ):  # fmt: skip
        peers = ledger.peers(scenario, "cpu_us")
        if peers:
            title = f"Server CPU a delivery, {count:,} subscribers, {kind}"
            yield scenario, (title, bars(title, "µs", [_bar(ledger, scenario, peer) for peer in peers]))
    for curve, title, x_label, y_label, log_x, log_y in (
        ("subscribers", "CPU a delivery against subscribers", "subscribers", "µs", True, True),
        (
            "channels",
            "CPU a publish against channels (1 subscriber each)",
            "channels and connections",
            "µs",
            True,
            False,
        ),
        ("messages", "CPU a delivery against message size (200 subscribers)", "bytes", "µs", True, True),
        ("user", "CPU a delivery against a user's connections", "connections of the user", "µs", True, False),
        ("history", "CPU a publish against the length of a full history", "publications kept", "µs", True, False),
        ("memory", "Resident memory against connections", "connections", "MB", False, False),
    ):
        found = ledger.curves.get(curve)
        if found:
            series = {
                name: [(x, statistics.median(ys)) for x, ys in sorted(points.items())] for name, points in found.items()
            }
            yield curve, (title, lines(title, x_label, y_label, series, log_x=log_x, log_y=log_y))


def _bar(ledger: Ledger, scenario: str, peer: str) -> Bar:
    spread = ledger.spread(scenario, peer, "cpu_us") or (0.0, 0.0)
    return Bar(peer, ledger.median(scenario, peer, "cpu_us") or 0.0, *spread)
