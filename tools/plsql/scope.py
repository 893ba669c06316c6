"""Names and what they stand for, from the inside of a block out to the package."""

from __future__ import annotations

from dataclasses import dataclass, field

from tools.plsql.catalogue import Formal, Signature
from tools.plsql.tree import (
    Cursor,
    Declaration,
    ExceptionName,
    Parameter,
    Subprogram,
    TypeName,
    Variable,
)


@dataclass(slots=True)
class Symbol:
    """A declared name. ``type`` is the normalised text of its type, where it has one.

    ``kind`` is variable, constant, parameter, type, exception, cursor, procedure, function, index or column.
    """

    kind: str
    name: str
    type: str | None
    line: int
    declaration: Declaration | Parameter | None = None
    signatures: list[Signature] = field(default_factory=list)
    columns: list[str] | None = None
    """The columns of the query that a loop variable runs over, where they are known."""


@dataclass(slots=True)
class Scope:
    """The names of one block, and the scope around it. ``package`` is set where a package's names begin."""

    outer: Scope | None = None
    symbols: dict[str, Symbol] = field(default_factory=dict)
    package: str | None = None
    subprogram: Subprogram | None = None
    labels: set[str] = field(default_factory=set)

    def find(self, name: str) -> Symbol | None:
        """The symbol that ``name`` means here."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.symbols:
                return scope.symbols[name]
            scope = scope.outer
        return None

    def home(self) -> str | None:
        """The package that this scope lies in."""
        scope: Scope | None = self
        while scope is not None:
            if scope.package is not None:
                return scope.package
            scope = scope.outer
        return None

    def add(self, symbol: Symbol) -> None:
        """Enter a symbol; a further signature of a subprogram joins the first."""
        known = self.symbols.get(symbol.name)
        if known is not None and known.signatures and symbol.signatures:
            if symbol.signatures[0] not in known.signatures:
                known.signatures.extend(symbol.signatures)
            return
        self.symbols[symbol.name] = symbol

    def is_labelled(self, name: str) -> bool:
        """Tell whether a loop around this place has this label."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.labels:
                return True
            scope = scope.outer
        return False


def signature_of(subprogram: Subprogram) -> Signature:
    """How a subprogram of ours is called."""
    formals = [
        Formal(item.name, item.mode or "in", item.type, item.default is not None) for item in subprogram.parameters
    ]
    return Signature(subprogram.kind, subprogram.name, formals, subprogram.returns)


def symbol_of(declaration: Declaration) -> Symbol | None:
    """The symbol that a declaration enters, or None for a pragma."""
    line = declaration.line
    if isinstance(declaration, Variable):
        kind = "constant" if declaration.constant else "variable"
        return Symbol(kind, declaration.name, declaration.type, line, declaration)
    if isinstance(declaration, TypeName):
        return Symbol("type", declaration.name, declaration.of, line, declaration)
    if isinstance(declaration, ExceptionName):
        return Symbol("exception", declaration.name, None, line, declaration)
    if isinstance(declaration, Cursor):
        return Symbol("cursor", declaration.name, None, line, declaration)
    if isinstance(declaration, Subprogram):
        signature = signature_of(declaration)
        return Symbol(declaration.kind, declaration.name, declaration.returns, line, declaration, [signature])
    return None


def scope_of(declarations: list[Declaration], outer: Scope | None, package: str | None = None) -> Scope:
    """A scope with these declarations in it."""
    scope = Scope(outer, package=package)
    for declaration in declarations:
        symbol = symbol_of(declaration)
        if symbol is not None:
            scope.add(symbol)
    return scope


def scope_of_parameters(subprogram: Subprogram, outer: Scope) -> Scope:
    """A scope with a subprogram's parameters in it."""
    scope = Scope(outer, subprogram=subprogram)
    for parameter in subprogram.parameters:
        scope.add(Symbol("parameter", parameter.name, parameter.type, parameter.line, parameter))
    return scope
