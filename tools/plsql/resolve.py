"""What a reference means: declared here, in a package of ours, supplied, or part of the language."""

from __future__ import annotations

from dataclasses import dataclass, field

from tools.plsql.calls import arity_fault, best_fit
from tools.plsql.catalogue import Package, Signature, language
from tools.plsql.scope import Scope, Symbol, scope_of, signature_of
from tools.plsql.tree import Argument, Cursor, Part, Reference, TypeName, Variable
from tools.plsql.world import World, select_names

VALUE, PROCEDURE = "value", "procedure"


@dataclass(slots=True)
class Typed:
    """A type and where its name is to be read: in a scope of ours or in a supplied package. No text: not known."""

    text: str | None
    scope: Scope | None = None
    supplied: str | None = None


UNKNOWN = Typed(None)


@dataclass(slots=True)
class Shape:
    """What can stand after a value of a type. ``kind``: scalar, record, collection, object or open (anything)."""

    kind: str
    fields: dict[str, Typed] = field(default_factory=dict)
    element: Typed = field(default_factory=lambda: UNKNOWN)
    name: str = ""


OPEN = Shape("open")


@dataclass(slots=True)
class Called:
    """A call: which overload, with what, and where the types of its parameters are to be read."""

    signature: Signature
    arguments: list[Argument]
    scope: Scope | None
    supplied: str | None
    is_only: bool
    """Whether no other overload could have been meant."""


@dataclass(slots=True)
class Meaning:
    """A resolved reference. ``role``: value, procedure, type, exception or unknown; ``call`` when it is one."""

    role: str
    typed: Typed = field(default_factory=lambda: UNKNOWN)
    faults: list[str] = field(default_factory=list)
    call: Called | None = None
    symbol: Symbol | None = None


class Resolver:
    """Resolves references and types in a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.specs: dict[str, Scope] = {}
        for unit in world.units:
            if unit.kind == "package":
                self.specs[unit.name] = scope_of(unit.declarations, None, unit.name)

    # --- types

    def shape(self, typed: Typed) -> Shape | None:
        """The shape of a type, or None when there is no such type."""
        if typed.text is None:
            return OPEN
        text = typed.text.split("(")[0].strip() if "%" not in typed.text else typed.text
        text = text.removesuffix(" not null").removeprefix("sys.")
        if text.endswith("%rowtype"):
            return self._row(text.removesuffix("%rowtype"), typed)
        if text.endswith("%type"):
            return self._anchored(text.removesuffix("%type").split("."), typed)
        if _base(typed.text) in language().types:
            return Shape("scalar", name=text)
        return self._named_shape(text, typed)

    def _named_shape(self, text: str, typed: Typed) -> Shape | None:
        package_name, _, name = text.rpartition(".")
        if typed.supplied is not None and not package_name:
            package_name = typed.supplied
        if not package_name:
            symbol = typed.scope.find(name) if typed.scope else None
            if symbol is not None and symbol.kind == "type":
                return self._declared(symbol, typed.scope)
            supplied_type = self.world.catalogue.packages.get(name)
            if supplied_type is not None and supplied_type.is_type:
                return Shape("object", name=name)
            return OPEN if self.world.created("type", name) else None
        if package_name in self.specs:
            symbol = self.specs[package_name].symbols.get(name)
            if symbol is None or symbol.kind != "type":
                return None
            return self._declared(symbol, self.specs[package_name])
        return self._supplied_shape(package_name, name)

    def _supplied_shape(self, package_name: str, name: str) -> Shape | None:
        package = self.world.catalogue.packages.get(package_name)
        if package is None:
            return None
        if name in package.records:
            fields = {key: Typed(text, None, package_name) for key, text in package.records[name].items()}
            return Shape("record", fields, name=f"{package_name}.{name}")
        if name in package.types:
            text = package.types[name]
            if text.startswith(("table of ", "varray")):
                element = text.split(" of ", 1)[1].split(" index by")[0]
                return Shape("collection", element=Typed(element, None, package_name))
            return Shape("scalar", name=name)
        if name in self.world.catalogue.packages:
            return Shape("object", name=name)
        return Shape("scalar") if _base(name) in language().types else None

    def _declared(self, symbol: Symbol, scope: Scope | None) -> Shape | None:
        node = symbol.declaration
        if not isinstance(node, TypeName):
            return None
        if node.kind == "record":
            return Shape("record", {item.name: Typed(item.type, scope) for item in node.fields}, name=node.name)
        if node.kind in ("table", "map", "varray"):
            return Shape("collection", element=Typed(node.of, scope), name=node.name)
        if node.kind == "subtype":
            return self.shape(Typed(node.of.split(" range ")[0], scope))
        return Shape("scalar", name=node.name)

    def _row(self, name: str, typed: Typed) -> Shape | None:
        table = self.world.tables.get(name)
        if table is not None:
            return Shape("record", {column: Typed(text) for column, text in table.columns.items()}, name=name)
        symbol = typed.scope.find(name) if typed.scope else None
        if symbol is not None and isinstance(symbol.declaration, Cursor):
            query = symbol.declaration.query
            columns = select_names(query.tokens) if query is not None else None
            return Shape("record", dict.fromkeys(columns, UNKNOWN), name=name) if columns else OPEN
        if symbol is not None and symbol.kind in ("variable", "parameter"):
            return OPEN
        return OPEN if name in language().views else None

    def _anchored(self, names: list[str], typed: Typed) -> Shape | None:
        table = self.world.tables.get(names[0])
        if table is not None and len(names) == 2:
            return self.shape(Typed(table.columns[names[1]])) if names[1] in table.columns else None
        views = language().views
        if len(names) == 2 and names[1] in views.get(names[0], ()):
            return Shape("scalar")
        reference = Reference(0, [Part(name) for name in names])
        meaning = self.resolve(reference, typed.scope or Scope(), VALUE)
        return None if meaning.faults else self.shape(meaning.typed)

    # --- references

    def resolve(self, reference: Reference, scope: Scope, want: str) -> Meaning:
        """What ``reference`` means in ``scope``; ``want`` is value or procedure."""
        parts = reference.parts
        if parts[0].name == "sys" and len(parts) > 1:
            parts = parts[1:]
        if parts[0].name.startswith(":") or parts[0].name == "" or parts[0].name.startswith("&"):
            return Meaning("unknown")
        symbol = scope.find(parts[0].name)
        if symbol is not None:
            return self._from_symbol(symbol, parts, scope, want)
        return self._from_package(parts, scope, want) or self._from_language(parts, want)

    def _from_symbol(self, symbol: Symbol, parts: list[Part], scope: Scope, want: str) -> Meaning:
        if symbol.signatures:
            return self._from_signatures(symbol.signatures, parts, scope, want)
        if symbol.kind in ("exception", "type"):
            role = symbol.kind
            return Meaning(role, Typed(symbol.name, scope), _too_long(parts), symbol=symbol)
        if symbol.kind == "cursor":
            return Meaning("cursor", symbol=symbol)
        if symbol.columns is not None and len(parts) > 1 and parts[1].name not in symbol.columns:
            return Meaning("unknown", faults=[f"{symbol.name} has no member '{parts[1].name}'"])
        meaning = self._follow(Typed(symbol.type, scope), parts, want)
        meaning.symbol = symbol
        return meaning

    def _from_package(self, parts: list[Part], scope: Scope, want: str) -> Meaning | None:
        name = parts[0].name
        if name in self.specs or name == scope.home():
            if len(parts) < 2:
                return Meaning("unknown", faults=[f"package {name} is used without a member"])
            symbol = scope.find(parts[1].name) if name == scope.home() else None
            spec = self.specs.get(name, Scope())
            symbol = symbol or spec.symbols.get(parts[1].name)
            if symbol is None:
                return Meaning("unknown", faults=[f"package {name} has no public '{parts[1].name}'"])
            return self._from_symbol(symbol, parts[1:], spec if name in self.specs else scope, want)
        unit = self.world.standalone(name)
        if unit is not None:
            return self._from_signatures([signature_of(unit)], parts, scope, want)
        if self.world.created("sequence", name) and len(parts) == 2 and parts[1].name in ("nextval", "currval"):
            return Meaning(VALUE)
        package = self.world.catalogue.packages.get(name)
        return None if package is None else self._from_supplied(package, parts, want)

    def _from_supplied(  # noqa: PLR0911 - one return for each kind of member
        self, package: Package, parts: list[Part], want: str
    ) -> Meaning:
        if package.is_type and (len(parts) == 1 or parts[0].arguments is not None):
            constructors = self.world.catalogue.members(package.name, package.name)
            if constructors:
                return self._from_signatures(constructors, parts, Scope(), want)
            return Meaning(VALUE, Typed(package.name))
        if len(parts) < 2:
            return Meaning("unknown", faults=[f"package {package.name} is used without a member"])
        member = parts[1].name
        signatures = self.world.catalogue.members(package.name, member)
        if signatures:
            return self._from_signatures(signatures, parts[1:], Scope(), want, package.name)
        if member in package.constants:
            return Meaning(VALUE, UNKNOWN, _too_long(parts[1:]))
        if member in package.exceptions:
            return Meaning("exception", UNKNOWN, _too_long(parts[1:]))
        if member in package.records or member in package.types:
            return Meaning("type", Typed(f"{package.name}.{member}"))
        return Meaning("unknown", faults=[f"the catalogue has no {package.name}.{member}"])

    def _from_language(self, parts: list[Part], want: str) -> Meaning:
        name, arguments = parts[0].name, parts[0].arguments
        known = language()
        if name in known.functions and (arguments is not None or known.functions[name][0] == 0):
            fault = _plain_fault(name, arguments, known.functions[name])
            fault = fault or (f"{name} is a function: its value is lost" if want == PROCEDURE else None)
            return Meaning(VALUE, UNKNOWN, [fault] if fault else [])
        if name in known.procedures:
            fault = _plain_fault(name, arguments, known.procedures[name])
            fault = fault or (f"{name} gives no value" if want == VALUE else None)
            return Meaning(PROCEDURE, UNKNOWN, [fault] if fault else [])
        if name in known.values:
            return Meaning(VALUE, UNKNOWN, _too_long(parts) if arguments is None else [f"{name} takes no arguments"])
        if name in known.exceptions:
            return Meaning("exception", UNKNOWN, _too_long(parts))
        shown = ".".join(part.name for part in parts)
        kind = "calls to packages missing from the catalogue are refused: " if len(parts) > 1 else ""
        return Meaning("unknown", faults=[f"{kind}'{shown}' is not declared"])

    def _from_signatures(
        self, signatures: list[Signature], parts: list[Part], scope: Scope, want: str, supplied: str | None = None
    ) -> Meaning:
        last = len(parts) == 1
        wanted = PROCEDURE if want == PROCEDURE and last else "function"
        usable = [signature for signature in signatures if signature.kind == wanted]
        name = parts[0].name
        if not usable:
            is_lost = wanted == PROCEDURE
            fault = f"{name} is a function: its value is lost" if is_lost else f"{name} is a procedure: no value"
            return Meaning("unknown", faults=[fault])
        arguments = parts[0].arguments or []
        misfit, signature = best_fit(usable, arguments)
        typed = Typed(signature.returns, scope, supplied) if signature.kind == "function" else UNKNOWN
        if misfit is not None:
            return Meaning("unknown", faults=[misfit])
        called = Called(signature, arguments, scope, supplied, is_only=len(usable) == 1)
        meaning = Meaning(VALUE if wanted == "function" else PROCEDURE, typed, call=called)
        if last:
            return meaning
        return self._follow(typed, [Part("result"), *parts[1:]], want)

    def _follow(  # noqa: PLR0911 - one return for each kind of step
        self, typed: Typed, parts: list[Part], want: str
    ) -> Meaning:
        """From a value of ``typed``, named by ``parts[0]``, along the rest of the reference."""
        if parts[0].arguments is not None:
            typed, fault = self._index(typed, parts[0])
            if fault:
                return Meaning("unknown", faults=[fault])
        for at, part in enumerate(parts[1:], start=1):
            shape = self.shape(typed)
            if shape is None or shape.kind == "open":
                return Meaning(PROCEDURE if want == PROCEDURE else VALUE)
            is_last = at == len(parts) - 1
            if shape.kind == "object":
                return self._method(shape.name, parts[at:], want)
            if shape.kind == "collection" and part.name in language().collection_methods:
                return self._collection_method(part, is_last=is_last)
            if part.name == "" and shape.kind == "collection":
                typed = shape.element
            elif part.name in shape.fields:
                typed = shape.fields[part.name]
                if part.arguments is not None:
                    typed, fault = self._index(typed, part)
                    if fault:
                        return Meaning("unknown", faults=[fault])
            else:
                return Meaning("unknown", faults=[f"{parts[at - 1].name} has no member '{part.name}'"])
        if want == PROCEDURE:
            return Meaning("unknown", faults=[f"{parts[-1].name} is not a procedure"])
        return Meaning(VALUE, typed)

    @staticmethod
    def _collection_method(part: Part, *, is_last: bool) -> Meaning:
        fault = _plain_fault(part.name, part.arguments, language().collection_methods[part.name])
        if fault is None and not is_last:
            fault = f"{part.name} has no members"
        role = PROCEDURE if part.name in ("delete", "extend", "trim") else VALUE
        typed = Typed("boolean" if part.name == "exists" else "varchar2")
        return Meaning(role, typed, [fault] if fault else [])

    def _index(self, typed: Typed, part: Part) -> tuple[Typed, str | None]:
        shape = self.shape(typed)
        if shape is None or shape.kind == "open":
            return UNKNOWN, None
        if shape.kind != "collection" or len(part.arguments or []) != 1:
            return UNKNOWN, f"{part.name} takes no arguments" if shape.kind != "collection" else "one index is needed"
        return shape.element, None

    def _method(self, type_name: str, parts: list[Part], want: str) -> Meaning:
        signatures = self.world.catalogue.members(type_name, parts[0].name)
        if not signatures:
            if self._is_collection_type(type_name) and parts[0].name in language().collection_methods:
                return Meaning(VALUE)
            return Meaning("unknown", faults=[f"the catalogue has no {type_name}.{parts[0].name}"])
        return self._from_signatures(signatures, parts, Scope(), want)

    def _is_collection_type(self, name: str) -> bool:
        package = self.world.catalogue.packages.get(name)
        return package is not None and name in package.types

    def is_assignable(self, reference: Reference, scope: Scope) -> bool:
        """Tell whether a value may be put there: no constant, no ``in`` parameter, no loop index, no function."""
        symbol = scope.find(reference.parts[0].name)
        if symbol is None and reference.parts[0].name == scope.home() and len(reference.parts) > 1:
            symbol = scope.find(reference.parts[1].name)
        if symbol is None:
            return reference.parts[0].name.startswith(":") or len(reference.parts) > 1
        if symbol.kind == "parameter":
            mode = getattr(symbol.declaration, "mode", "")
            return "out" in mode
        declaration = symbol.declaration
        return symbol.kind == "variable" and (not isinstance(declaration, Variable) or not declaration.constant)


def _base(text: str) -> str:
    """A built-in type without its length: ``timestamp(6) with time zone`` is ``timestamp with time zone``."""
    head, _, rest = text.partition("(")
    _, _, tail = rest.rpartition(")")
    return " ".join(f"{head} {tail}".split()).removeprefix("sys.").removesuffix(" not null")


def _plain_fault(name: str, arguments: list[Argument] | None, arity: tuple[int, int]) -> str | None:
    if name == "extract":
        return None
    return arity_fault(name, arguments or [], arity)


def _too_long(parts: list[Part]) -> list[str]:
    return [f"{parts[0].name} has no member '{parts[1].name}'"] if len(parts) > 1 else []
