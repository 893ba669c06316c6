"""From the suite's verdicts to figures, and to docs/conformance.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

from tools.conformance.suite import SECTIONS

# The one deliberate deviation, and the library that made it: see the page.
DOCUMENTED: Final = ("7.1.5",)
_TITLES: Final = {
    "1": "Framing",
    "2": "Pings and pongs",
    "3": "Reserved bits",
    "4": "Opcodes",
    "5": "Fragmentation",
    "6": "UTF-8",
    "7": "Closing",
    "10": "Large fragmented messages",
}
_PASSED: Final = ("OK", "INFORMATIONAL")


@dataclass(slots=True)
class Outcome:
    """Figures of one run: cases by section and verdict, and those that were not expected to fail."""

    by_section: dict[str, Counter[str]]
    unexpected: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)

    @property
    def total(self) -> Counter[str]:
        """All sections together."""
        return sum(self.by_section.values(), Counter())

    @property
    def lines(self) -> list[str]:
        """The same for a terminal."""
        found = [_plain(f"{section:>3} {_TITLES[section]}", self.by_section[section]) for section in SECTIONS]
        found.append(_plain("    all", self.total))
        found += [f"not documented: {case}" for case in self.unexpected]
        found += [f"documented as failing, but passes now: {case}" for case in self.mended]
        return found


def judge(cases: Mapping[str, Mapping[str, Any]]) -> Outcome:
    """Count verdicts. A case has passed when what it did and how it closed are both right.

    `INFORMATIONAL` is the suite's word for cases in which RFC 6455 leaves the answer to the server.
    """
    by_section = {section: Counter[str]() for section in SECTIONS}
    outcome = Outcome(by_section)
    for case, verdicts in sorted(cases.items()):
        verdict = _verdict(str(verdicts["behavior"]), str(verdicts["behaviorClose"]))
        by_section[case.split(".", 1)[0]][verdict] += 1
        if verdict == "failed" and case not in DOCUMENTED:
            outcome.unexpected.append(f"{case} {verdicts['behavior']}, close {verdicts['behaviorClose']}")
        if verdict != "failed" and case in DOCUMENTED:
            outcome.mended.append(case)
    return outcome


def _verdict(behavior: str, close: str) -> str:
    if behavior in _PASSED and close in _PASSED:
        return "passed"
    if behavior == "NON-STRICT" and close in _PASSED:
        return "non-strict"
    return "failed"


def _plain(title: str, counts: Counter[str]) -> str:
    return f"{title:32}" + "".join(f"{counts[word]:5} {word}" for word in ("passed", "non-strict", "failed"))


def _row(title: str, counts: Counter[str]) -> str:
    return f"| {title} | {counts['passed']} | {counts['non-strict']} | {counts['failed']} |"


def says_the_same(page: str, other: str) -> bool:
    """Tell whether two pages differ in nothing but how many right answers were strict.

    That depends on which packets arrive together; a page that changed with every run would soon be read by nobody.
    """
    return _without_strictness(page) == _without_strictness(other)


def _without_strictness(page: str) -> str:
    return re.sub(r"\| (\d+) \| (\d+) \|", lambda found: f"| {int(found[1]) + int(found[2])} |", page)


def render(outcome: Outcome) -> str:
    """Write the page."""
    rows = [_row(f"{section} {_TITLES[section]}", outcome.by_section[section]) for section in SECTIONS]
    rows.append(_row("all", outcome.total))
    failing = [f"* {text}" for text in outcome.unexpected] or ["* none but 7.1.5"]
    return "\n".join(
        [
            "<!-- Written by `make conformance` (tools/conformance/report.py). Do not edit. -->",
            "# Conformance to RFC 6455",
            "",
            "The Autobahn|Testsuite 0.8.2 against an echo server on the product's own WebSocket edge",
            "(`apex_rtm.edge.ws.Connection` behind `apex_rtm.edge.intake`), with the limits of an unconfigured server.",
            f"WebSocket protocol: `websockets` {version('websockets')}. HTTP: `uvicorn` {version('uvicorn')}.",
            "",
            "| section | passed | non-strict | failed |",
            "|---|---:|---:|---:|",
            *rows,
            "",
            "*Passed* holds the cases that the suite calls informational: there RFC 6455 leaves the answer to the",
            "server. *Non-strict* is a right answer where the suite would like another order:",
            "",
            "* sections 3, 4 and 5: a good message and a broken frame arrive in one packet. The connection is closed",
            "  for the broken frame, without an answer to the good message first. How many depends on how",
            "  the packets happen to arrive;",
            "* section 6: text that is not UTF-8 is found when its message is complete, not in the middle of a frame.",
            "",
            "Not run: section 9, which measures speed (see bench/), and 12 and 13, which need compression: the server",
            "offers none, because a small frame could then stand for a huge message.",
            "",
            "## Failed",
            "",
            *failing,
            "",
            "7.1.5 is documented: the peer sends a fragment, then a close frame with 1000, then the rest. The authors",
            "of `websockets` count a close in the middle of a message as a protocol error and answer 1002. The",
            "connection ends either way and nothing is lost: the unfinished message was never a message.",
            "",
            "## Run it",
            "",
            "`make conformance`. The suite needs a Python 2.7 (on the path, under pyenv, or named in `PYTHON27`) and",
            "is installed into `.work/` with pinned versions. Every frame of every case: `.work/conformance/report/`.",
            "",
        ]
    )
