"""Runs single checks for the tests, and holds each test that says `@breaks` to what it says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from apex_rtm.doctor.catalogue import CHECKS
from apex_rtm.doctor.check import Outcome, State
from apex_rtm.doctor.patient import Patient

BY_ID = {check.id: check for check in CHECKS}
BAD = (State.WARNING, State.FAILURE)
_seen: list[tuple[str, State]] = []


def run(check_id: str, patient: Patient) -> Outcome:
    """Run one check, whatever it needs."""
    outcome = BY_ID[check_id].run(patient)
    _seen.append((check_id, outcome.state))
    assert outcome.saw
    if outcome.state in BAD:
        assert outcome.remedy, f"{check_id} names a fault and nothing that mends it: {outcome.saw}"
    return outcome


def good(check_id: str, patient: Patient) -> str:
    """Run one check that must be content; return what it saw."""
    outcome = run(check_id, patient)
    assert outcome.state is State.OK, outcome
    return outcome.saw


def bad(check_id: str, patient: Patient, state: State = State.FAILURE) -> str:
    """Run one check that must not be; return everything that it says, line by line."""
    outcome = run(check_id, patient)
    assert outcome.state is state, outcome
    return "\n".join([outcome.saw, *outcome.remedy])


def breaks(*check_ids: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a test in which these checks find something wrong; the mark is believed only where one does."""
    assert set(check_ids) <= set(BY_ID), check_ids

    def mark(test: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(test)
        def watched(*args: Any, **kwargs: Any) -> None:
            before = len(_seen)
            test(*args, **kwargs)
            found = {name for name, state in _seen[before:] if state in BAD}
            assert found & set(check_ids), f"none of {check_ids} found anything wrong"

        watched.breaks = check_ids  # type: ignore[attr-defined]
        return watched

    return mark
