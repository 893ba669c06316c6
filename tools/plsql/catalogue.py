"""What the checks know of code that is not ours: supplied packages (``catalogue.json``) and the language itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(slots=True)
class Formal:
    """A formal parameter, of our code or supplied."""

    name: str
    mode: str
    type: str
    optional: bool


@dataclass(slots=True)
class Signature:
    """One overload. ``returns`` is None for procedures."""

    kind: str
    name: str
    formals: list[Formal]
    returns: str | None
    scope: str = ""
    positional_only: bool = False


@dataclass(slots=True)
class Package:
    """A supplied package or object type."""

    name: str
    source: str
    inherits: str | None
    subprograms: dict[str, list[Signature]]
    constants: set[str]
    exceptions: set[str]
    records: dict[str, dict[str, str]]
    types: dict[str, str]

    @property
    def is_type(self) -> bool:
        """Tell whether this is an object or collection type rather than a package."""
        return self.name in self.subprograms or self.name in self.types or self.inherits is not None


@dataclass(slots=True)
class Language:
    """Names that the language itself gives (``language.json``)."""

    functions: dict[str, tuple[int, int]]
    sql_functions: dict[str, tuple[int, int]]
    procedures: dict[str, tuple[int, int]]
    values: set[str]
    exceptions: set[str]
    types: set[str]
    collection_methods: dict[str, tuple[int, int]]
    views: dict[str, set[str]]


@dataclass(slots=True)
class Catalogue:
    """All supplied packages in use, by name."""

    packages: dict[str, Package] = field(default_factory=dict)

    def members(self, name: str, member: str) -> list[Signature]:
        """The overloads of ``name.member``, inherited ones included."""
        found: list[Signature] = []
        package: Package | None = self.packages.get(name)
        while package is not None:
            found.extend(package.subprograms.get(member, []))
            package = self.packages.get(package.inherits) if package.inherits else None
        return found


def read_catalogue(path: Path = HERE / "catalogue.json") -> Catalogue:
    """Read a catalogue file; an absent one is an empty catalogue."""
    if not path.is_file():
        return Catalogue()
    content = json.loads(path.read_text(encoding="utf-8"))
    return Catalogue({name: _package(name, entry) for name, entry in content["packages"].items()})


def _package(name: str, entry: dict[str, Any]) -> Package:
    subprograms: dict[str, list[Signature]] = {}
    for fact in entry.get("subprograms", []):
        formals = [
            Formal(fact_of["name"], fact_of["mode"], fact_of["type"], fact_of.get("optional", False))
            for fact_of in fact["params"]
        ]
        returns = name if fact.get("scope") == "constructor" else fact.get("returns")
        signature = Signature(
            fact["kind"],
            fact["name"],
            formals,
            returns,
            fact.get("scope", ""),
            positional_only=fact.get("positional_only", False),
        )
        subprograms.setdefault(fact["name"], []).append(signature)
    records = {
        record: dict(shape.split(" ", 1) for shape in fields) for record, fields in entry.get("records", {}).items()
    }
    return Package(
        name,
        entry["source"],
        entry.get("inherits"),
        subprograms,
        set(entry.get("constants", [])),
        set(entry.get("exceptions", [])),
        records,
        entry.get("types", {}),
    )


@cache
def language() -> Language:
    """The names of the language."""
    content = json.loads((HERE / "language.json").read_text(encoding="utf-8"))
    arity = {
        key: {name: (low, high) for name, (low, high) in content[key].items()}
        for key in ("functions", "sql_functions", "procedures", "collection_methods")
    }
    return Language(
        arity["functions"],
        arity["sql_functions"],
        arity["procedures"],
        set(content["values"]),
        set(content["exceptions"]),
        set(content["types"]),
        arity["collection_methods"],
        {name: set(columns) for name, columns in content["views"].items()},
    )
