"""Where names live while PL/SQL runs: a frame for each package and each call."""

from __future__ import annotations

from dataclasses import dataclass, field

from tools.plsql.scope import Scope
from tools.plsql.tree import Cursor, ExceptionName, Expression, Subprogram

from tests.db.sandbox.values import Value


@dataclass(slots=True)
class Variable:
    """A variable's value and its type, by which assignments are checked."""

    value: Value
    type: str | None
    is_constant: bool = False


@dataclass(slots=True)
class Frame:
    """The names of a package, a call or a block. ``scope`` is what the checks know of the same names."""

    scope: Scope
    outer: Frame | None = None
    variables: dict[str, Variable] = field(default_factory=dict)
    subprograms: dict[str, list[Subprogram]] = field(default_factory=dict)
    exceptions: dict[str, ExceptionName] = field(default_factory=dict)
    cursors: dict[str, OpenCursor] = field(default_factory=dict)

    def owner(self, kind: str, name: str) -> Frame | None:
        """The nearest frame that has this name among its variables, subprograms, exceptions or cursors."""
        frame: Frame | None = self
        while frame is not None:
            if name in getattr(frame, kind):
                return frame
            frame = frame.outer
        return None


@dataclass(slots=True)
class OpenCursor:
    """An explicit cursor: its query, and its rows while it is open."""

    declaration: Cursor
    rows: list[Value] | None = None


@dataclass(slots=True)
class Place:
    """Something that can be assigned to: a variable, a field of a record, an element of a collection."""

    read: Value
    write: Value
    """Functions: ``read()`` and ``write(value)``."""


@dataclass(slots=True)
class Actual:
    """An argument of a call of a supplied subprogram: its value, and where an ``out`` value goes."""

    value: Value
    expression: Expression | None = None
