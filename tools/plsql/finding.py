"""What a check reports: one fault at one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Finding:
    """A fault in a script. ``rule`` is the stable word a reader can search the checks for."""

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        """``file:line: message [rule]``, the form editors and CI logs make a link of."""
        return f"{self.path}:{self.line}: {self.message} [{self.rule}]"


class SourceError(Exception):
    """The source cannot be read any further: a broken token or a broken structure at ``line``."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message
