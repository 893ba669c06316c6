"""Cuts a SQL*Plus script into what is run one after the other.

Follows the SQL*Plus User's Guide ("Entering and Editing SQL, PL/SQL and SQL*Plus Commands"): a PL/SQL unit ends at a
line that is a lone `/`, a SQL statement at a `;` at the end of a line, a command at the end of its line. The scripts of
db/ are held to a stricter form by tools/plsql/script.py, and a test holds the two to the same cuts in each of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Kind(Enum):
    """What a piece is, and so how it is run."""

    COMMAND = auto()
    SQL = auto()
    PLSQL = auto()


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement without its terminator, or one command; `line` counts from 1."""

    kind: Kind
    text: str
    line: int


class ScriptFault(Exception):
    """A script cannot be read as SQL*Plus would."""


_UNIT: Final = re.compile(
    r"(declare|begin)\b"
    r"|create\s+(or\s+replace\s+)?((non)?editionable\s+)?(package|procedure|function|trigger|type|library|java|mle)\b",
    re.IGNORECASE,
)
_COMMAND: Final = re.compile(
    r"@|(prompt|set|whenever|define|undefine|column|accept|show|rem|remark|exit)\b", re.IGNORECASE
)
_QUOTE_OR_COMMENT: Final = re.compile(r"'|--")
_SQL: Final = re.compile(
    r"(create|alter|drop|grant|revoke|comment|insert|update|delete|merge|select|with|commit|rollback|truncate|purge)\b",
    re.IGNORECASE,
)


def split(text: str) -> Iterator[Piece]:
    """Yield the pieces in order. Raises ScriptFault for what is neither a statement nor a known command."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        if not line or line.startswith("--"):
            at += 1
        elif _UNIT.match(line):
            end = _end_of_unit(lines, at)
            yield Piece(Kind.PLSQL, "\n".join(lines[at:end]), at + 1)
            at = end + 1
        elif _COMMAND.match(line):
            yield Piece(Kind.COMMAND, line.removesuffix(";"), at + 1)
            at += 1
        elif _SQL.match(line):
            end = _end_of_statement(lines, at)
            yield Piece(Kind.SQL, "\n".join(lines[at:end]).rstrip().removesuffix(";"), at + 1)
            at = end
        else:
            raise ScriptFault(f"line {at + 1}: neither SQL nor a known command: {line[:60]}")


def _end_of_unit(lines: list[str], start: int) -> int:
    for at in range(start, len(lines)):
        if lines[at].strip() == "/":
            return at
    raise ScriptFault(f"line {start + 1}: there is no / on a line of its own after this")


def _end_of_statement(lines: list[str], start: int) -> int:
    in_text = False
    for at in range(start, len(lines)):
        in_text = _is_text_open(lines[at], is_open=in_text)
        if not in_text and lines[at].rstrip().endswith(";"):
            return at + 1
    raise ScriptFault(f"line {start + 1}: the statement has no ; at the end of a line")


def _is_text_open(line: str, *, is_open: bool) -> bool:
    """Tell whether a string is open at the end of the line. A quote inside a string is two of them."""
    for mark in _QUOTE_OR_COMMENT.findall(line):
        if mark == "'":
            is_open = not is_open
        elif not is_open:
            break
    return is_open
