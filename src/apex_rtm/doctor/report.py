"""What was found, for a person or for a program."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from apex_rtm.doctor.catalogue import GROUPS
from apex_rtm.doctor.check import State
from apex_rtm.doctor.examine import Finding
from apex_rtm.doctor.foreign import visible

EXIT_OK: Final = 0
EXIT_WARNING: Final = 1
EXIT_FAILURE: Final = 2
_COLOURS: Final = {
    State.OK: "green", State.WARNING: "yellow", State.FAILURE: "red", State.SKIPPED: "bright_black",
    State.BLOCKED: "bright_black",
}  # fmt: skip
_INDENT: Final = " " * 11
_SLOW_S: Final = 1.0


def exit_code(findings: Sequence[Finding], wanted: Sequence[str] = ()) -> int:
    """0 where nothing is wrong, 1 where something will be or nothing that was wanted was looked at, 2 where it is."""
    states = {finding.outcome.state for finding in findings}
    if State.FAILURE in states:
        return EXIT_FAILURE
    return EXIT_WARNING if State.WARNING in states or _saw_nothing(findings, wanted) else EXIT_OK


def _saw_nothing(findings: Sequence[Finding], wanted: Sequence[str]) -> bool:
    """Tell whether all that was asked for was left out: a script would take that for good news."""
    chosen = [f for f in findings if not wanted or f.check.id in wanted or f.check.group in wanted]
    return all(finding.outcome.state in (State.SKIPPED, State.BLOCKED) for finding in chosen)


def as_text(
    findings: Sequence[Finding], paint: Callable[[str, str], str], wanted: Sequence[str] = (), *, shows_skipped: bool
) -> Iterator[str]:
    """The lines of a report, grouped and aligned. `paint` gets a text and the name of a colour.

    `wanted` are the checks and groups that were asked for; the others came because those need them.
    """
    shown = [f for f in findings if shows_skipped or f.outcome.state is not State.SKIPPED]
    width = max((len(finding.check.id) for finding in shown), default=0)
    for group in dict.fromkeys(finding.check.group for finding in shown):
        yield GROUPS.get(group, group)
        for finding in (f for f in shown if f.check.group == group):
            yield from _lines(finding, width, paint)
        yield ""
    if findings and _saw_nothing(findings, wanted):
        yield "Nothing that was asked for could be checked:"
        yield from dict.fromkeys(_reasons(findings))
    yield _summary(findings)


def _reasons(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        if finding.outcome.state is State.SKIPPED:
            remedy = "".join(f"  | {visible(line)}" for line in finding.outcome.remedy)
            yield f"  {visible(finding.outcome.saw)}{remedy}"


def _lines(finding: Finding, width: int, paint: Callable[[str, str], str]) -> Iterator[str]:
    outcome = finding.outcome
    word = outcome.state.upper() if outcome.state is State.FAILURE else outcome.state.value
    took = f"  ({finding.took_s:.1f} s)" if finding.took_s >= _SLOW_S else ""
    yield f"  {paint(f'{word:<8}', _COLOURS[outcome.state])} {finding.check.id:<{width}}  {visible(outcome.saw)}{took}"
    if outcome.state in (State.FAILURE, State.WARNING):
        for line in outcome.remedy:
            yield f"{_INDENT}{' ' * width}  | {visible(line)}"


def _summary(findings: Sequence[Finding]) -> str:
    counts = {state: sum(f.outcome.state is state for f in findings) for state in State}
    words = [
        _many(counts[State.FAILURE], "failure"), _many(counts[State.WARNING], "warning"), f"{counts[State.OK]} ok",
        f"{counts[State.SKIPPED]} skipped", f"{counts[State.BLOCKED]} not run",
    ]  # fmt: skip
    return ", ".join(word for word in words if not word.startswith("0 ")) or "nothing was checked"


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def as_json(findings: Sequence[Finding], wanted: Sequence[str] = ()) -> str:
    """The same for a program: `{"exitCode", "checks": [{"id", "title", "state", "saw", "remedy", "seconds"}]}`."""
    checks: list[dict[str, Any]] = [
        {
            "id": finding.check.id,
            "title": finding.check.title,
            "state": finding.outcome.state.value,
            "saw": visible(finding.outcome.saw),
            "remedy": [visible(line) for line in finding.outcome.remedy],
            "seconds": round(finding.took_s, 3),
        }
        for finding in findings
    ]
    return json.dumps({"exitCode": exit_code(findings, wanted), "checks": checks}, indent=2, ensure_ascii=False)
