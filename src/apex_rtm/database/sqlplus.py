"""Runs SQL*Plus scripts without SQL*Plus: the commands that the scripts of db/ use, and no others."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from apex_rtm.database.splitter import Kind, Piece, ScriptFault, split

_VARIABLE: Final = re.compile(r"&&?(\w+)\.?")
_NAMED: Final = re.compile(
    r"create\s+(?:or\s+replace\s+)?(package\s+body|package|procedure|function|mle\s+module|view|table)\s+(\w+)",
    re.IGNORECASE,
)


class DatabaseError(Exception):
    """The database refused a statement; the text is its own."""


class Answer(NamedTuple):
    """What a statement came back with. `columns` are in lower case; `has_warning`: created with compilation errors."""

    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    has_warning: bool = False


class Session(Protocol):
    """A connection. Every method raises DatabaseError."""

    def execute(self, statement: str) -> Answer:
        """Run one statement, without variables."""
        ...

    def output(self) -> list[str]:
        """Take what DBMS_OUTPUT has collected."""
        ...

    def compile_errors(self, kind: str, name: str) -> list[str]:
        """The errors of an object, one line each."""
        ...

    def rollback(self) -> None:
        """Undo what is not committed."""
        ...

    def close(self) -> None:
        """Leave. Raises nothing."""
        ...


@dataclass(slots=True)
class Totals:
    """What a run came to."""

    statements: int = 0
    invalid: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Runner:
    """Runs a script and what it includes; says what it does, line by line."""

    def __init__(
        self, root: Path, session: Session, say: Callable[[str], None], answers: Mapping[str, str] | None = None
    ) -> None:
        """`answers` are given where the script asks a person (`accept`); otherwise its default is taken."""
        self.totals = Totals()
        self._root = root
        self._session = session
        self._say = say
        self._answers = dict(answers or {})
        self._values: dict[str, str] = {}
        self._new_values: dict[str, str] = {}
        self._defines = True
        self._stops_on_error = False
        self._created: tuple[str, str] | None = None

    def run(self, path: Path) -> Totals:
        """Run `path`. Raises ScriptFault, and DatabaseError where the script says `whenever sqlerror exit`."""
        shown = path.relative_to(self._root).as_posix()
        try:
            for piece in split(path.read_text(encoding="utf-8")):
                if piece.kind is Kind.COMMAND:
                    self._obey(self._substitute(piece.text), path)
                else:
                    self._execute(piece, f"{shown}:{piece.line}")
        except ScriptFault as fault:
            raise ScriptFault(f"{shown}, {fault}") from fault
        return self.totals

    def _substitute(self, text: str) -> str:
        if not self._defines:
            return text

        def value(match: re.Match[str]) -> str:
            name = match.group(1).lower()
            if name not in self._values:
                raise ScriptFault(f"&{name} has no value")
            return self._values[name]

        return _VARIABLE.sub(value, text)

    # ── statements ──

    def _execute(self, piece: Piece, where: str) -> None:
        statement = self._substitute(piece.text)
        title = " ".join(statement.split())[:70]
        try:
            answer = self._session.execute(statement)
        except DatabaseError as error:
            self.totals.failed.append(where)
            self._say(f"FAILED   {where}  {title}\n         {error}")
            if self._stops_on_error:
                self._session.rollback()
                raise DatabaseError(f"{where}: {error}") from error
            return
        self.totals.statements += 1
        named = _NAMED.match(statement)
        if named:
            self._created = (" ".join(named.group(1).upper().split()), named.group(2).upper())
        if answer.has_warning:
            self.totals.invalid.append(where)
        if not answer.columns:
            self._say(f"{'INVALID' if answer.has_warning else 'ok':8} {where}  {title}")
        for line in self._session.output():
            self._say(f"         {line}")
        self._show_rows(answer)

    def _show_rows(self, answer: Answer) -> None:
        shown = [n for n, column in enumerate(answer.columns) if column not in self._new_values]
        for row in answer.rows:
            for column, value in zip(answer.columns, row, strict=True):
                if column in self._new_values:
                    self._values[self._new_values[column]] = str(value)
            if shown:
                self._say("         " + "  ".join(str(row[n]) for n in shown))

    # ── commands ──

    def _obey(self, command: str, path: Path) -> None:
        word, _, rest = command.partition(" ")
        rest = rest.strip()
        if command.startswith("@"):
            self.run(path.parent / command.lstrip("@").strip())
            return
        handler = getattr(self, f"_on_{word.lower()}", None)
        if handler is None:
            raise ScriptFault(f"the command {word} is not known here")
        handler(rest)

    def _on_prompt(self, text: str) -> None:
        self._say(text)

    def _on_set(self, text: str) -> None:
        words = text.lower().split()
        if "define" in words:
            self._defines = words[words.index("define") + 1] != "off"

    def _on_whenever(self, text: str) -> None:
        event, action, *_ = [*text.lower().split(), "", ""]
        if event == "sqlerror":  # oserror is about files: a script that is not there ends the run anyway
            self._stops_on_error = action == "exit"

    def _on_define(self, text: str) -> None:
        name, _, value = text.partition("=")
        self._values[name.strip().lower()] = value.strip().strip("'\"")

    def _on_undefine(self, text: str) -> None:
        for name in text.lower().split():
            self._values.pop(name, None)

    def _on_accept(self, text: str) -> None:
        name, *words = shlex.split(text)
        default = words[words.index("default") + 1] if "default" in words else ""
        self._values[name.lower()] = self._answers.get(name.lower(), default)

    def _on_column(self, text: str) -> None:
        name, *words = text.lower().split()
        if "new_value" in words:
            self._new_values[name] = words[words.index("new_value") + 1]
        elif "clear" in words:
            self._new_values.pop(name, None)

    def _on_show(self, text: str) -> None:
        if text.lower().startswith("err") and self._created is not None:
            for line in self._session.compile_errors(*self._created):
                self._say(f"         {line}")
