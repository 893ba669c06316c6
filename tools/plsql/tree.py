"""The syntax tree of PL/SQL that the checks walk: small, and only as deep as a check needs it.

SQL inside PL/SQL stays a list of tokens (``Sql``, ``Query``): the published grammar has read it, and the
checks look for names and calls in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from tools.plsql.lexer import Token


@dataclass(slots=True)
class Node:
    """Anything with a place in the source."""

    line: int


# --- expressions


@dataclass(slots=True)
class Literal(Node):
    """``kind``: string, number, boolean, null, date, timestamp, interval; ``value`` is the decoded text."""

    kind: str
    value: str


@dataclass(slots=True)
class Argument(Node):
    """One actual parameter; ``name`` when it is passed by name."""

    name: str | None
    value: Expression


@dataclass(slots=True)
class Part:
    """One step of a reference: ``name`` or ``name(arguments)``."""

    name: str
    arguments: list[Argument] | None = None


@dataclass(slots=True)
class Reference(Node):
    """``a.b(c).d%rowcount``: a variable, a constant, a call; only later does a check know which."""

    parts: list[Part]
    attribute: str | None = None

    @property
    def dotted(self) -> str:
        """The names joined with dots, arguments left out."""
        return ".".join(part.name for part in self.parts)

    @property
    def arguments(self) -> list[Argument] | None:
        """The arguments after the last name, if there are parentheses."""
        return self.parts[-1].arguments


@dataclass(slots=True)
class Unary(Node):
    """``-a``, ``not a``, ``exists (…)``."""

    operator: str
    operand: Expression


@dataclass(slots=True)
class Binary(Node):
    """``a and b``, ``a || b``, ``a like b`` … with ``negated`` for ``not like``."""

    operator: str
    left: Expression
    right: Expression
    negated: bool = False


@dataclass(slots=True)
class Predicate(Node):
    """``a is [not] null``, ``a is json``, ``a in (…)``, ``a between b and c``."""

    kind: str
    operand: Expression
    negated: bool
    items: list[Expression] = field(default_factory=list)


@dataclass(slots=True)
class Case(Node):
    """A case expression, simple (with ``operand``) or searched."""

    operand: Expression | None
    branches: list[tuple[Expression, Expression]]
    otherwise: Expression | None


@dataclass(slots=True)
class Cast(Node):
    """``cast(a as t)`` and ``treat(a as t)``."""

    operand: Expression
    type: str


@dataclass(slots=True)
class JsonObject(Node):
    """``json_object('k' value v, …)``: keys and values in order, then the clauses as written."""

    members: list[tuple[Expression, Expression, bool]]
    """(key, value, whether the value is already JSON: ``format json``)."""
    clauses: str


@dataclass(slots=True)
class JsonRead(Node):
    """``json_value``, ``json_query``, ``json_exists``, ``json_array`` … with their clauses."""

    name: str
    arguments: list[Expression]
    clauses: str


@dataclass(slots=True)
class Tuple(Node):
    """``(a, b)``."""

    items: list[Expression]


@dataclass(slots=True)
class Query(Node):
    """A subquery or the query of a cursor, as tokens."""

    tokens: list[Token]


Expression = Literal | Reference | Unary | Binary | Predicate | Case | Cast | JsonObject | JsonRead | Tuple | Query


# --- statements


@dataclass(slots=True)
class Assign(Node):
    """``target := value;``."""

    target: Reference
    value: Expression


@dataclass(slots=True)
class Call(Node):
    """A procedure call."""

    target: Reference


@dataclass(slots=True)
class If(Node):
    """``if … elsif … else`` and the case statement (``operand`` set for its simple form)."""

    operand: Expression | None
    branches: list[tuple[Expression, list[Statement]]]
    otherwise: list[Statement] | None


@dataclass(slots=True)
class Loop(Node):
    """Every loop. ``kind`` is loop, while, range or cursor."""

    kind: str
    variable: str | None
    header: list[Expression]
    body: list[Statement]
    label: str | None = None


@dataclass(slots=True)
class Exit(Node):
    """``exit`` or ``continue``, perhaps to a label, perhaps with a condition."""

    verb: str
    label: str | None
    condition: Expression | None


@dataclass(slots=True)
class Return(Node):
    """``return`` with or without a value."""

    value: Expression | None


@dataclass(slots=True)
class Raise(Node):
    """``raise e`` or a bare ``raise``."""

    name: Reference | None


@dataclass(slots=True)
class Null(Node):
    """``null;``."""


@dataclass(slots=True)
class Sql(Node):
    """An SQL statement in PL/SQL; ``verb`` is its first word."""

    verb: str
    tokens: list[Token]


@dataclass(slots=True)
class Execute(Node):
    """``execute immediate``; ``rest`` has into, using and returning clauses."""

    statement: Expression
    rest: list[Token]


@dataclass(slots=True)
class CursorWork(Node):
    """``open``, ``fetch`` or ``close``."""

    verb: str
    cursor: Reference
    rest: list[Token]


@dataclass(slots=True)
class ForAll(Node):
    """``forall i in a .. b`` over one SQL statement."""

    variable: str
    header: list[Token]
    statement: Sql


@dataclass(slots=True)
class Handler(Node):
    """``when a or b then …``."""

    names: list[str]
    body: list[Statement]


@dataclass(slots=True)
class Block(Node):
    """``declare … begin … exception … end``; also the body of a subprogram."""

    declarations: list[Declaration]
    body: list[Statement]
    handlers: list[Handler]
    end_line: int
    end_name: str | None = None


Statement = Assign | Call | If | Loop | Exit | Return | Raise | Null | Sql | Execute | CursorWork | ForAll | Block


# --- declarations


@dataclass(slots=True)
class Variable(Node):
    """A variable or constant."""

    name: str
    type: str
    constant: bool
    not_null: bool
    default: Expression | None


@dataclass(slots=True)
class TypeName(Node):
    """``type … is …`` and ``subtype``; ``fields`` of a record, else ``of`` what it is made."""

    name: str
    kind: str
    of: str
    fields: list[Variable]


@dataclass(slots=True)
class ExceptionName(Node):
    """``e_x exception;``."""

    name: str


@dataclass(slots=True)
class Pragma(Node):
    """``pragma name(arguments)``."""

    name: str
    arguments: list[str]


@dataclass(slots=True)
class Parameter(Node):
    """A formal parameter. ``mode`` is as written: empty, in, out, in out; ``default`` is normalised text."""

    name: str
    mode: str
    nocopy: bool
    type: str
    default: str | None
    value: Expression | None


@dataclass(slots=True)
class Cursor(Node):
    """``cursor c (…) is query``."""

    name: str
    parameters: list[Parameter]
    query: Query | None


@dataclass(slots=True)
class Subprogram(Node):
    """A procedure or function: declared (no ``block``), defined, or a call specification (``foreign``)."""

    kind: str
    name: str
    parameters: list[Parameter]
    returns: str | None
    options: str
    block: Block | None
    foreign: str | None
    end_line: int


Declaration = Variable | TypeName | ExceptionName | Pragma | Cursor | Subprogram


@dataclass(slots=True)
class Unit(Node):
    """A compiled object or an anonymous block.

    ``kind`` is package, package body, procedure, function, trigger, type or block.
    """

    kind: str
    name: str
    path: str
    declarations: list[Declaration]
    block: Block | None
    options: str
    end_line: int
    end_name: str | None


_BRANCHES: dict[type[Any], tuple[str, ...]] = {}


def _branches(kind: type[Any]) -> tuple[str, ...]:
    """The fields of a class of nodes that can hold nodes."""
    if kind not in _BRANCHES:
        plain = ("int", "str", "bool", "str | None", "int | None")
        _BRANCHES[kind] = tuple(item.name for item in fields(kind) if item.type not in plain)
    return _BRANCHES[kind]


def walk(node: object) -> Iterator[Any]:
    """Every node below and including ``node``, in source order, lists and tuples opened."""
    pending = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, Node | Part):
            yield item
            pending.extend(getattr(item, name) for name in reversed(_branches(item.__class__)))
        elif isinstance(item, list | tuple):
            pending.extend(reversed(item))
