"""The vocabulary of the doctor."""

from __future__ import annotations

from apex_rtm.doctor.catalogue import CHECKS
from apex_rtm.doctor.check import Check, Outcome, State, counted, failure, ok, skipped, warning


def test_each_word_makes_its_outcome() -> None:
    assert ok("fine") == Outcome(State.OK, "fine", ())
    assert warning("soon", "do this", "and that") == Outcome(State.WARNING, "soon", ("do this", "and that"))
    assert failure("broken", "mend it") == Outcome(State.FAILURE, "broken", ("mend it",))
    assert skipped("not here") == Outcome(State.SKIPPED, "not here", ())


def test_one_of_a_kind_is_singular() -> None:
    assert [counted(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]


def test_the_group_of_a_check_is_the_first_part_of_its_id() -> None:
    assert Check("tls.chain", "", CHECKS[0].run).group == "tls"
