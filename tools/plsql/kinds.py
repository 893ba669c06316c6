"""The kind of value an expression has, as far as it can be known: enough to see a comparison where a text is wanted.

Oracle turns texts, numbers and dates into one another by itself, so they count as one kind here. A boolean, a record, a
collection and an object are never turned into anything else (PLS-00306, PLS-00382).
"""

from __future__ import annotations

from tools.plsql.resolve import VALUE, Resolver, Typed
from tools.plsql.scope import Scope
from tools.plsql.tree import (
    Binary,
    Case,
    Cast,
    Expression,
    JsonObject,
    JsonRead,
    Literal,
    Predicate,
    Reference,
    Unary,
)

PLAIN, BOOLEAN = "plain", "boolean"

_COMPARISONS = ("=", "<>", "!=", "^=", "~=", "<", ">", "<=", ">=", "like", "and", "or")
_UNKNOWN_SCALARS = ("sys_refcursor", "json")


class Kinds:
    """Tells kinds. None means: not known, and then nothing is claimed."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver

    def of_type(self, typed: Typed) -> str | None:
        """The kind of a type: plain, boolean, or record, collection and object with a name."""
        shape = self.resolver.shape(typed)
        if shape is None or shape.kind == "open":
            return None
        if shape.kind == "scalar":
            if shape.name == "boolean":
                return BOOLEAN
            return None if shape.name in _UNKNOWN_SCALARS else PLAIN
        return "object" if shape.kind == "object" else f"{shape.kind} {shape.name}"

    def of(  # noqa: PLR0911 - one return for each form
        self, expression: Expression | None, scope: Scope
    ) -> str | None:
        """The kind of an expression."""
        if isinstance(expression, Literal):
            return {"null": None, "boolean": BOOLEAN, "star": None}.get(expression.kind, PLAIN)
        if isinstance(expression, Binary):
            return BOOLEAN if expression.operator in _COMPARISONS else PLAIN
        if isinstance(expression, Predicate):
            return BOOLEAN
        if isinstance(expression, Unary):
            return BOOLEAN if expression.operator in ("not", "exists") else PLAIN
        if isinstance(expression, Case):
            results = [self.of(result, scope) for _, result in expression.branches]
            return next((kind for kind in [*results, self.of(expression.otherwise, scope)] if kind), None)
        if isinstance(expression, Cast):
            return self.of_type(Typed(expression.type, scope))
        if isinstance(expression, JsonObject):
            return PLAIN
        return self._of_name(expression, scope)

    def _of_name(self, expression: Expression | None, scope: Scope) -> str | None:
        if isinstance(expression, JsonRead):
            return BOOLEAN if expression.name == "json_exists" else None
        if not isinstance(expression, Reference):
            return None
        if expression.attribute is not None:
            return BOOLEAN if expression.attribute in ("found", "notfound", "isopen") else PLAIN
        name = expression.parts[0].name
        if name in ("nvl", "coalesce", "nullif") and len(expression.parts) == 1:
            given = [self.of(argument.value, scope) for argument in expression.arguments or []]
            return next((kind for kind in given if kind), None)
        meaning = self.resolver.resolve(expression, scope, VALUE)
        return self.of_type(meaning.typed) if not meaning.faults and meaning.role == VALUE else None


def clash(wanted: str | None, given: str | None) -> bool:
    """Tell whether a value of the kind ``given`` cannot stand where ``wanted`` is."""
    return wanted is not None and given is not None and wanted != given
