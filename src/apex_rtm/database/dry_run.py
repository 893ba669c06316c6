"""Prints what a script would run, without a database: one text that a DBA can read, or run elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from apex_rtm.database.splitter import Kind, Piece, split

_VARIABLE: Final = re.compile(r"&&?(\w+)\.?")


class DryRun:
    """Flattens a script. Where the database chooses between scripts, all of them are printed, each with a note."""

    def __init__(self, root: Path, answers: Mapping[str, str] | None = None) -> None:
        self._root = root
        self._answers = dict(answers or {})
        self._values: dict[str, list[str]] = {}
        self._defines = True

    def lines(self, path: Path) -> Iterator[str]:
        """Yield the lines of the text. Raises ScriptFault."""
        shown = path.relative_to(self._root).as_posix()
        for piece in split(path.read_text(encoding="utf-8")):
            if piece.kind is Kind.COMMAND:
                yield from self._obey(piece.text, path)
            else:
                yield f"-- {shown}:{piece.line}"
                yield from self._print(piece)

    def _print(self, piece: Piece) -> Iterator[str]:
        text = _VARIABLE.sub(self._value, piece.text) if self._defines else piece.text
        yield text + (";" if piece.kind is Kind.SQL else "\n/")
        yield ""

    def _value(self, match: re.Match[str]) -> str:
        return (self._values.get(match.group(1).lower()) or [match.group()])[-1]

    def _obey(self, command: str, path: Path) -> Iterator[str]:
        word, _, rest = command.partition(" ")
        if command.startswith("@"):
            yield from self._include(command.lstrip("@").strip(), path)
        elif word.lower() == "prompt" and rest.strip():
            yield f"-- {rest.strip()}"
        elif word.lower() == "set" and "define" in rest.lower().split():
            self._defines = "define off" not in rest.lower()
        elif word.lower() == "define":
            name, _, value = rest.partition("=")
            self._values.setdefault(name.strip().lower(), []).append(value.strip().strip("'\""))
        elif word.lower() == "accept":
            name = rest.split()[0].lower()
            if name in self._answers:
                self._values[name] = [self._answers[name]]

    def _include(self, name: str, path: Path) -> Iterator[str]:
        variable = _VARIABLE.search(name)
        if variable is None:
            yield from self.lines(path.parent / name)
            return
        for value in self._values.get(variable.group(1).lower(), []):
            yield f"-- {value}: only if the database chooses it for {variable.group()}"
            yield from self.lines(path.parent / name.replace(variable.group(), value))
