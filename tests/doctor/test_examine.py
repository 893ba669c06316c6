"""Order, dependence and time of checks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from apex_rtm.clock import SystemClock
from apex_rtm.doctor.catalogue import CHECKS
from apex_rtm.doctor.check import Check, Outcome, State, failure, ok, skipped
from apex_rtm.doctor.examine import examine, select
from apex_rtm.doctor.patient import Patient


def check(name: str, outcome: Outcome | Callable[[Patient], Outcome], *needs: str, **rest: object) -> Check:
    run = outcome if callable(outcome) else lambda _patient: outcome
    return Check(name, name, run, needs, **rest)  # type: ignore[arg-type]


def states(*checks: Check) -> dict[str, State]:
    return {finding.check.id: finding.outcome.state for finding in examine(Patient(SystemClock()), checks)}


def test_what_needs_a_failed_check_is_not_run_and_says_so() -> None:
    ran = []

    def run(_patient: Patient) -> Outcome:
        ran.append(1)
        return ok("")

    found = states(check("a.a", failure("no")), check("a.b", run, "a.a"), check("a.c", run, "a.b"), check("a.d", run))
    assert found == {"a.a": State.FAILURE, "a.b": State.BLOCKED, "a.c": State.BLOCKED, "a.d": State.OK}
    assert ran == [1]


def test_what_does_not_apply_takes_with_it_what_is_only_for_it() -> None:
    one, two = check("a.a", skipped("no database")), check("a.b", failure("x"), "a.c", only_if="a.a")
    findings = examine(Patient(SystemClock()), [one, check("a.c", failure("y")), two])
    assert findings[2].outcome == skipped("no database")
    assert states(check("a.a", failure("no")), check("a.b", ok(""), only_if="a.a"))["a.b"] is State.BLOCKED


def test_a_check_that_hangs_costs_its_time_and_no_more() -> None:
    hang = threading.Event()

    def wait(_patient: Patient) -> Outcome:
        hang.wait(30)
        return ok("")

    try:
        begun = time.monotonic()
        patient = Patient(SystemClock())
        found = examine(
            patient,
            [
                check("db.a", wait, timeout_s=0.2, only_if="db.login"),
                check("db.b", ok(""), only_if="db.login"),
                check("net.a", wait, timeout_s=0.2),
                check("net.b", ok("")),
            ],
        )
    finally:
        hang.set()
    assert time.monotonic() - begun < 5
    assert [one.outcome.state for one in found] == [State.FAILURE, State.BLOCKED, State.FAILURE, State.OK]
    assert "no end within 0.2 s" in found[0].outcome.saw
    assert "firewall" in found[0].outcome.remedy[0]
    assert patient.session_is_lost


def test_a_check_that_breaks_is_a_failure_of_its_own() -> None:
    def broken(_patient: Patient) -> Outcome:
        raise ValueError("that was not foreseen")

    (finding,) = examine(Patient(SystemClock()), [check("a.a", broken)])
    assert finding.outcome.state is State.FAILURE
    assert "ValueError: that was not foreseen" in finding.outcome.saw


def test_what_waits_in_the_background_holds_nobody_up_and_keeps_its_place() -> None:
    released = threading.Event()
    started: list[str] = []

    def slow(_patient: Patient) -> Outcome:
        assert released.wait(10), "the check after it was not run meanwhile"
        return ok("")

    def release(_patient: Patient) -> Outcome:
        released.set()
        return ok("")

    checks = [check("a.slow", slow, in_background=True), check("a.fast", release)]
    found = examine(Patient(SystemClock()), checks, lambda one: started.append(one.id))
    assert [finding.check.id for finding in found] == ["a.slow", "a.fast"]
    assert all(finding.outcome.state is State.OK for finding in found)
    assert started == ["a.slow", "a.fast", "a.slow"]


def test_checks_are_chosen_by_id_and_group_with_what_they_need() -> None:
    def ids(*wanted: str, unwanted: tuple[str, ...] = ()) -> list[str]:
        return [one.id for one in select(CHECKS, wanted, unwanted)]

    assert ids() == [one.id for one in CHECKS]
    assert ids("config.mode") == ["config.names", "config.loads", "config.mode"]
    assert [name for name in ids("tls") if not name.startswith("tls.")] == []
    assert {"db.login", "db.objects", "config.loads"} <= set(ids("db.acl"))
    assert "proxy.idle" not in ids(unwanted=("proxy.idle",))
    for word in ("tsl", "config.nothing"):
        with pytest.raises(KeyError, match=word):
            ids(word)


def test_every_need_is_a_check_that_comes_before() -> None:
    seen: set[str] = set()
    for one in CHECKS:
        needed = {*one.needs, *([one.only_if] if one.only_if else [])}
        assert needed <= seen, f"{one.id} needs {needed - seen}"
        seen.add(one.id)
    assert len(seen) == len(CHECKS), "an id stands for one check"
