"""Types while PL/SQL runs: a fresh value of each, and what fits into a variable."""

from __future__ import annotations

import re
from decimal import Decimal

from tools.plsql.resolve import Resolver, Shape, Typed
from tools.plsql.tree import TypeName, Variable

from tests.db.sandbox.values import Collection, Lob, OracleError, Record, Value, number_of, text_of

_LENGTH = re.compile(r"(?:varchar2|varchar|char|raw)\((\d+)(?: (char|byte))?\)")
_WHOLE = ("pls_integer", "binary_integer", "integer", "natural", "positive")


class Types:
    """Makes and checks values by the types that the source gives."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver

    def fresh(self, typed: Typed) -> Value:
        """What a variable of this type holds before anything is assigned."""
        shape = self.resolver.shape(typed)
        if shape is None or shape.kind in ("scalar", "object", "open"):
            return None
        if shape.kind == "record":
            return self.record(shape)
        return Collection(element=lambda: self.fresh(shape.element))

    def record(self, shape: Shape) -> Record:
        """A record whose fields are fresh."""
        return Record({name: self.fresh(typed) for name, typed in shape.fields.items()}, shape.fields)

    def fitted_field(self, record: Record, name: str, value: Value) -> Value:
        """``value`` as it fits into a field."""
        return self.fitted(value, record.types[name]) if name in record.types else value

    def fitted(self, value: Value, typed: Typed) -> Value:
        """``value`` as it fits into a variable of this type.

        Raises:
            OracleError: -6502 where a text is too long, or no number.
        """
        if value is None or isinstance(value, Record | Collection):
            return value
        text = self.base(typed)
        if text.startswith("varchar2"):
            return _within(text_of(value), text)
        if text.startswith(_WHOLE):
            number = number_of(value)
            return None if number is None else int(Decimal(number).to_integral_value())
        if text.startswith("number"):
            return number_of(value)
        if text == "clob" and not isinstance(value, Lob):
            return Lob(text_of(value) or "")
        return value

    def base(self, typed: Typed) -> str:
        """The built-in type under subtypes and ``%type``, with its length."""
        text = (typed.text or "").removesuffix(" not null")
        for _ in range(8):
            if text.endswith("%type"):
                text, typed = self._anchor(text.removesuffix("%type").split("."), typed)
                continue
            head, _, name = text.rpartition(".")
            scope = self.resolver.specs.get(head) if head else typed.scope
            symbol = scope.find(name) if scope is not None else None
            if symbol is None or not isinstance(symbol.declaration, TypeName) or symbol.declaration.kind != "subtype":
                return text
            text, typed = symbol.declaration.of.split(" range ")[0], Typed(symbol.declaration.of, scope)
        return text

    def _anchor(self, names: list[str], typed: Typed) -> tuple[str, Typed]:
        table = self.resolver.world.tables.get(names[0])
        if table is not None:
            return table.columns.get(names[1]) or "", Typed(None)
        scope = self.resolver.specs.get(names[0]) if len(names) == 2 else typed.scope
        symbol = scope.find(names[-1]) if scope is not None else None
        declared = symbol.declaration if symbol is not None else None
        return (declared.type if isinstance(declared, Variable) else ""), Typed(None, scope)


def _within(text: str | None, type_text: str) -> str | None:
    found = _LENGTH.match(type_text)
    if text is None or found is None:
        return text
    length = len(text) if found.group(2) == "char" else len(text.encode())
    if length > int(found.group(1)):
        raise OracleError(-6502, f"PL/SQL: numeric or value error: character string buffer too small ({length})")
    return text
