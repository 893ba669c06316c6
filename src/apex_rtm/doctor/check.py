"""The vocabulary of the doctor: what a check is, and what it may come back with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apex_rtm.doctor.patient import Patient


def counted(number: int, noun: str) -> str:
    """Put a number in front of a noun whose plural ends in s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class State(StrEnum):
    """How a check ended. SKIPPED: the question does not arise here. BLOCKED: what it needs has failed."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    SKIPPED = "skipped"
    BLOCKED = "not run"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`saw` is what was found, in one sentence; `remedy` the lines that mend it, ready to be copied."""

    state: State
    saw: str
    remedy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One question. `id` is stable: scripts and docs/doctor.md refer to it; its first part is the group.

    `needs` names checks without whose good end this one would only repeat their failure; where the one in `only_if`
    does not apply, this one does not either. What is `in_background` is waited for at the end: it waits itself.
    """

    id: str
    title: str
    run: Callable[[Patient], Outcome]
    needs: tuple[str, ...] = ()
    only_if: str | None = None
    timeout_s: float = 15.0
    in_background: bool = False

    @property
    def group(self) -> str:
        """The area it belongs to."""
        return self.id.split(".")[0]


def ok(saw: str) -> Outcome:
    """Nothing to do."""
    return Outcome(State.OK, saw)


def warning(saw: str, *remedy: str) -> Outcome:
    """It works, but not for long, or not as it should."""
    return Outcome(State.WARNING, saw, remedy)


def failure(saw: str, *remedy: str) -> Outcome:
    """It does not work, or must not be run like this."""
    return Outcome(State.FAILURE, saw, remedy)


def skipped(why: str, *remedy: str) -> Outcome:
    """The question does not arise, or cannot be answered with what was given."""
    return Outcome(State.SKIPPED, why, remedy)
