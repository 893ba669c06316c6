"""Runs the checks in their order, each with its own time, and keeps one hanging check from holding up the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from apex_rtm.doctor.check import Check, Outcome, State, failure, skipped
from apex_rtm.doctor.patient import Patient


@dataclass(frozen=True, slots=True)
class Finding:
    """A check and how it ended, with the seconds it took."""

    check: Check
    outcome: Outcome
    took_s: float


class _Run:
    """A check on a thread of its own. A thread that hangs cannot be stopped; it is left behind and forgotten."""

    def __init__(self, check: Check, patient: Patient) -> None:
        self.check = check
        self._patient = patient
        self._outcome: Outcome | None = None
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._work, name=check.id, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._outcome = self.check.run(self._patient)
        except Exception as error:  # noqa: BLE001 - a check that breaks must not take the others with it
            self._outcome = failure(f"the check itself failed: {type(error).__name__}: {error}")

    def finish(self) -> Finding:
        """Wait until it ends or its time is over."""
        left_s = self._begun + self.check.timeout_s - time.monotonic()
        self._thread.join(max(left_s, 0))
        outcome = self._outcome
        if outcome is None:
            outcome = failure(f"no end within {self.check.timeout_s:g} s", *_late(self.check))
            if self.check.only_if == "db.login":
                self._patient.session_is_lost = True  # its thread still waits in the session
        return Finding(self.check, outcome, time.monotonic() - self._begun)


def _late(check: Check) -> tuple[str, ...]:
    if check.only_if == "db.login":
        return ("the database takes the call and does not answer: look at its waits, or ask for a firewall in between",)
    return ("something on the way swallows packets: look at firewalls (firewall-cmd --list-all, the cloud's rules)",)


def examine(
    patient: Patient, checks: Sequence[Check], on_start: Callable[[Check], None] = lambda _: None
) -> list[Finding]:
    """Run `checks`; return what they found, in their order. `on_start` is for showing progress."""
    found: dict[str, Finding] = {}
    waiting: list[_Run] = []
    for check in checks:
        instead = _instead(check, found, patient)
        if instead is not None:
            found[check.id] = Finding(check, instead, 0.0)
        else:
            on_start(check)
            run = _Run(check, patient)
            if check.in_background:
                waiting.append(run)
            else:
                found[check.id] = run.finish()
    for run in waiting:
        on_start(run.check)
        found[run.check.id] = run.finish()
    return [found[check.id] for check in checks]


def _instead(check: Check, found: dict[str, Finding], patient: Patient) -> Outcome | None:
    """How a check ends without being run; None where it shall run."""
    states = {name: finding.outcome.state for name, finding in found.items()}
    if check.only_if is not None and states.get(check.only_if) is State.SKIPPED:
        return skipped(found[check.only_if].outcome.saw)
    blocker = next((need for need in _wanted_by(check) if states.get(need) in (State.FAILURE, State.BLOCKED)), None)
    if blocker is not None:
        return Outcome(State.BLOCKED, f"needs {blocker}")
    if patient.session_is_lost and check.only_if == "db.login":
        return Outcome(State.BLOCKED, "the database does not answer any more")
    return None


def select(checks: Iterable[Check], wanted: Sequence[str], unwanted: Sequence[str] = ()) -> list[Check]:
    """The checks with these ids or in these groups, and what they need. Nothing wanted: all.

    Raises KeyError with the word that names none.
    """
    everything = list(checks)
    by_id = {check.id: check for check in everything}
    words = [*wanted, *unwanted]
    for word in words:
        if word not in by_id and all(check.group != word for check in everything):
            raise KeyError(word)
    taken = {check.id for check in everything if not wanted or check.id in wanted or check.group in wanted}
    taken -= {check.id for check in everything if check.id in unwanted or check.group in unwanted}
    reached = set(taken)
    while reached:
        reached = {need for name in reached for need in _wanted_by(by_id[name])} - taken
        taken |= reached
    return [check for check in everything if check.id in taken]


def _wanted_by(check: Check) -> list[str]:
    return [*check.needs, *([check.only_if] if check.only_if else [])]
