"""The SQL*Plus splitter: a script, with every script it calls, as statements in the order they run.

Follows the SQL*Plus User's Guide, "Running Scripts" and "Entering SQL Commands", where SQL*Plus surprises:
a PL/SQL block runs only at a line with a lone ``/``; a blank line throws an unfinished SQL statement away; a
comment after ``;`` keeps the statement open; ``&`` asks the user for a value while ``define`` is on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tools.plsql.finding import Finding

SQL, PLSQL, COMMAND, MLE = "sql", "plsql", "command", "mle"

MAX_LINE_CHARS = 2499
"""SQL*Plus cuts longer lines (SP2-0027)."""

_PLSQL_START = re.compile(
    r"(declare|begin)\b|create\s+(or\s+replace\s+)?((non)?editionable\s+)?"
    r"(package|procedure|function|trigger|type|library|java)\b",
    re.IGNORECASE,
)
_MLE_START = re.compile(r"create\s+(or\s+replace\s+)?mle\s+module\b", re.IGNORECASE)
_SQL_START = re.compile(
    r"(create|alter|drop|grant|revoke|comment|insert|update|delete|merge|select|with|commit|rollback|truncate|purge"
    r"|rename|call|audit|analyze|lock)\b",
    re.IGNORECASE,
)
_COMMAND_START = re.compile(
    r"(prompt|pro|rem|remark|set|whenever|define|def|undefine|undef|accept|acc|column|col|show|sho|spool|spo|exit|quit"
    r"|pause|start|sta|execute|exec|variable|var|print|clear|host|ho|timing|describe|desc|connect|conn|ttitle)\b|@|!",
    re.IGNORECASE,
)
_INCLUDE = re.compile(r"(@@?|start\s+|sta\s+)\s*(?P<name>\S+)(?P<arguments>.*)$", re.IGNORECASE)
_DEFINE = re.compile(r"def(?:ine)?\s+(\w+)\s*=\s*(.+?)\s*$", re.IGNORECASE)
_STARTS_NEXT = re.compile(
    r"(create\s+or\s+replace\s|prompt\s|@@?\w|show\s+errors\b|whenever\s+sqlerror\b)", re.IGNORECASE
)


@dataclass(slots=True)
class Piece:
    """One SQL statement, PL/SQL unit, MLE module or SQL*Plus command, as it stands in the file."""

    kind: str
    text: str
    path: str
    line: int
    defines: bool = True
    """Whether ``set define`` was on here, so that ``&name`` would be replaced."""


@dataclass(slots=True)
class Script:
    """A script and all it includes, flattened; ``files`` in the order of first use."""

    pieces: list[Piece] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


def read_script(path: Path, root: Path) -> Script:
    """Split ``path`` and everything it includes; paths in the result are relative to ``root``."""
    reader = _Reader(root)
    reader.read(path, stack=())
    return reader.script


class _Reader:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.script = Script()
        self.defines = True
        self.values: dict[str, list[str]] = {}
        """Every value that a substitution variable can take, by ``define``."""

    def read(self, path: Path, stack: tuple[Path, ...]) -> None:
        """Append the pieces of one file, and of the files it includes, where they are included."""
        if path not in self.script.files:
            self.script.files.append(path)
        shown = path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()
        splitter = _Splitter(path.read_text(encoding="utf-8"), shown, self.script.findings)
        for piece in splitter.pieces():
            piece.defines = self.defines
            self.script.pieces.append(piece)
            if piece.kind == COMMAND:
                self._obey(piece, path, (*stack, path))
            elif self.defines and piece.kind != MLE:
                self._refuse_ampersand(piece)

    def _obey(self, command: Piece, path: Path, stack: tuple[Path, ...]) -> None:
        words = command.text.lower().split()
        for name, value in pairwise(words):
            if words[0] == "set" and name in ("define", "def"):
                self.defines = value != "off"
        defined = _DEFINE.match(command.text)
        if defined:
            self.values.setdefault(defined.group(1).lower(), []).append(defined.group(2).strip("'\""))
        include = _INCLUDE.match(command.text)
        if include:
            for name in self._names(include.group("name").strip("'\"")):
                self._include(name, command, path, stack)

    def _names(self, name: str) -> list[str]:
        """The names ``name`` may stand for: ``&variable`` counts with every value it is given."""
        variable = re.search(r"&&?(\w+)\.?", name)
        if variable is None:
            return [name]
        values = dict.fromkeys(self.values.get(variable.group(1).lower(), []))
        return [name.replace(variable.group(), value) for value in values] or [name]

    def _include(self, name: str, command: Piece, path: Path, stack: tuple[Path, ...]) -> None:
        target = path.parent / name
        if not target.suffix:
            target = target.with_suffix(".sql")
        if target in stack:
            self._find(command, "include", f"{name} includes itself")
        elif not target.is_file():
            self._find(command, "include", f"there is no file {name}")
        else:
            self.read(target, stack)

    def _refuse_ampersand(self, piece: Piece) -> None:
        for number, text in enumerate(piece.text.splitlines()):
            for name in re.findall(r"&&?(\w+)", text):
                if name.lower() not in self.values and not name.isdigit():
                    message = f"&{name} would ask the user for a value: 'set define off', or define it"
                    self.script.findings.append(Finding(piece.path, piece.line + number, "ampersand", message))

    def _find(self, piece: Piece, rule: str, message: str, below: int = 0) -> None:
        self.script.findings.append(Finding(piece.path, piece.line + below, rule, message))


class _Splitter:
    """Cuts one file; knows nothing of includes."""

    def __init__(self, text: str, path: str, findings: list[Finding]) -> None:
        self.lines = text.splitlines()
        self.path = path
        self.findings = findings
        self.at = 0

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces of the file in order."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            stripped = line.strip()
            if not stripped or stripped.startswith("--"):
                self.at += 1
            elif stripped.startswith("/*"):
                self._skip_comment()
            elif stripped == "/":
                self._find(self.at, "slash", "this / runs the statement before it once more")
                self.at += 1
            elif _MLE_START.match(stripped):
                yield self._until_slash(MLE)
            elif _PLSQL_START.match(stripped) or self._heading_spans_lines():
                yield self._until_slash(PLSQL)
            elif _COMMAND_START.match(stripped):
                yield self._command()
            elif _SQL_START.match(stripped):
                yield self._statement()
            else:
                self._find(self.at, "unknown", f"neither SQL nor a SQL*Plus command: {stripped[:60]}")
                self.at += 1

    def _heading_spans_lines(self) -> bool:
        """Tell whether ``create or replace`` stands alone and what is created is named on the next line."""
        text = " ".join(part.strip() for part in self.lines[self.at : self.at + 2])
        first = self.lines[self.at].strip().lower()
        return bool(re.fullmatch(r"create(\s+or(\s+replace)?)?", first)) and bool(_PLSQL_START.match(text))

    def _skip_comment(self) -> None:
        start = self.at
        while self.at < len(self.lines) and "*/" not in self.lines[self.at]:
            self.at += 1
        if self.at == len(self.lines):
            self._find(start, "comment", "a comment /* never ends")
        self.at += 1

    def _command(self) -> Piece:
        start, text = self.at, ""
        while True:
            line = self.lines[self.at].rstrip()
            self.at += 1
            continued = line.endswith("-") and self.at < len(self.lines)
            text += line[:-1] if continued else line
            if not continued:
                break
        return Piece(COMMAND, text.strip().removesuffix(";"), self.path, start + 1)

    def _until_slash(self, kind: str) -> Piece:
        start = self.at
        while self.at < len(self.lines) and self.lines[self.at].strip() != "/":
            self._refuse_long_line()
            if kind == PLSQL and self.at > start and _STARTS_NEXT.match(self.lines[self.at]):
                self._find(start, "slash", f"no / on a line of its own before line {self.at + 1}: this would not run")
                return self._piece(kind, start, self.at)
            self.at += 1
        if self.at == len(self.lines):
            self._find(start, "slash", "no / on a line of its own before the end of the file: this would not run")
        self.at += 1
        return self._piece(kind, start, self.at - 1)

    def _statement(self) -> Piece:
        start, inside = self.at, ""
        while self.at < len(self.lines):
            self._refuse_long_line()
            line = self.lines[self.at]
            if not inside and line.strip() == "/":
                self.at += 1
                return self._piece(SQL, start, self.at - 1)
            bare, inside = _bare(line, inside)
            self.at += 1
            if not inside and bare.rstrip().endswith(";"):
                return self._piece(SQL, start, self.at)
            if re.search(r";\s*(--|/\*)", bare):
                self._find(self.at - 1, "terminator", "SQL*Plus does not see a ; before a comment")
            if not inside and not line.strip():
                self._find(self.at - 1, "blank-line", "SQL*Plus drops the statement at this blank line")
        self._find(start, "terminator", "the statement has no ; before the end of the file")
        return self._piece(SQL, start, self.at)

    def _refuse_long_line(self) -> None:
        if len(self.lines[self.at]) > MAX_LINE_CHARS:
            self._find(self.at, "long-line", f"SQL*Plus cuts lines after {MAX_LINE_CHARS} characters")

    def _piece(self, kind: str, start: int, end: int) -> Piece:
        return Piece(kind, "\n".join(self.lines[start:end]), self.path, start + 1)

    def _find(self, index: int, rule: str, message: str) -> None:
        self.findings.append(Finding(self.path, index + 1, rule, message))


_QUOTE_OR_COMMENT = re.compile(r"'|--|/\*")


def _bare(line: str, inside: str) -> tuple[str, str]:
    """``line`` without the text of strings and comments (their marks stay), and what is open at its end.

    ``inside`` is what was open before: nothing, ``'`` or ``/*``.
    """
    bare = ""
    while line:
        if inside:
            closer = "'" if inside == "'" else "*/"
            _, closed, line = line.partition(closer)
            if not closed:
                return bare, inside
            bare, inside = bare + closed, ""
            continue
        found = _QUOTE_OR_COMMENT.search(line)
        if found is None:
            return bare + line, ""
        bare += line[: found.end()]
        if found.group() == "--":
            return bare, ""
        inside, line = found.group(), line[found.end() :]
    return bare, inside
