"""JavaScript in the database: export, ``signature`` and PL/SQL parameters of one function agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.plsql.finding import Finding, SourceError
from tools.plsql.parse_unit import call_specification
from tools.plsql.script import MLE, SQL, Piece
from tools.plsql.tree import Parameter, Subprogram, walk
from tools.plsql.world import World

_HEADER = re.compile(
    r"\s*create\s+(or\s+replace\s+)?mle\s+module\s+(?P<name>\w+)\s+language\s+javascript\s+(as|version)[^\n]*\n",
    re.IGNORECASE,
)
_EXPORT = re.compile(r"^export\s+(?:async\s+)?function\s+(\w+)\s*\(([^)]*)\)", re.MULTILINE)
_SIGNATURE = re.compile(r"\s*(\w+)\s*(?:\(([^)]*)\))?\s*")
_ENV = re.compile(
    r"create\s+(or\s+replace\s+)?mle\s+env\s+(?P<name>\w+)\s+imports\s*\((?P<imports>[^)]*)\)(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_DROP = re.compile(r"drop\s+mle\s+(module|env)\s+\w+", re.IGNORECASE)
_IMPORT = re.compile(r"\s*'([^']+)'\s+module\s+(\w+)\s*", re.IGNORECASE)

TYPES = {
    "varchar2": ("string",),
    "clob": ("string", "OracleClob"),
    "number": ("number", "OracleNumber"),
    "pls_integer": ("number",),
    "boolean": ("boolean",),
    "raw": ("Uint8Array",),
    "blob": ("Uint8Array", "OracleBlob"),
    "date": ("Date",),
    "timestamp": ("Date",),
    "json": ("object", "any"),
}
"""JavaScript types that a PL/SQL type may become (JavaScript Developer's Guide, "MLE Type Conversions")."""


@dataclass(frozen=True, slots=True)
class Module:
    """An MLE module: its JavaScript and where its first line stands."""

    name: str
    source: str
    path: str
    line: int

    def exports(self) -> dict[str, list[str]]:
        """Exported functions and the names of their parameters."""
        return {name: _items(parameters) for name, parameters in _EXPORT.findall(self.source)}


def modules(pieces: list[Piece]) -> list[Module]:
    """The MLE modules in ``pieces``.

    Raises:
        SourceError: a ``create mle module`` without ``language javascript as`` on its first line.
    """
    found = []
    for piece in pieces:
        if piece.kind != MLE:
            continue
        header = _HEADER.match(piece.text + "\n")
        if header is None:
            raise SourceError(piece.line, "expected 'create [or replace] mle module NAME language javascript as'")
        lines_before = header.group().count("\n")
        source = piece.text[header.end() :]
        found.append(Module(header.group("name").lower(), source, piece.path, piece.line + lines_before))
    return found


def check_mle(world: World) -> list[Finding]:
    """Findings about modules, environments and call specifications."""
    try:
        known = {module.name: module for module in modules(world.pieces)}
    except SourceError as error:
        path = next(piece.path for piece in world.pieces if piece.kind == MLE)
        return [Finding(path, error.line, "mle", error.message)]
    findings: list[Finding] = []
    environments = set()
    for piece in world.pieces:
        if piece.kind == SQL and re.match(r"create\s+(or\s+replace\s+)?mle\s+env\b", piece.text, re.IGNORECASE):
            name, faults = _environment(piece, known)
            environments.add(name)
            findings += [Finding(piece.path, piece.line, "mle", fault) for fault in faults]
        elif piece.kind == SQL and re.match(r"drop\s+mle\b", piece.text, re.IGNORECASE):
            is_whole = _DROP.fullmatch(piece.text.strip().rstrip(";"))
            if not is_whole:
                findings.append(Finding(piece.path, piece.line, "mle", "expected 'drop mle module NAME'"))
    for unit in world.units:
        for node in walk(unit):
            if isinstance(node, Subprogram) and node.foreign is not None:
                faults = list(_call(node, known, environments))
                findings.extend(Finding(unit.path, node.line, "mle", fault) for fault in faults)
    for module in known.values():
        if any(line.strip() == "/" for line in module.source.splitlines()):
            findings.append(Finding(module.path, module.line, "mle", "a lone / in JavaScript ends the module"))
    return findings


def _items(text: str) -> list[str]:
    return [item.strip().split("=")[0].strip() for item in text.split(",") if item.strip()]


def _environment(piece: Piece, known: dict[str, Module]) -> tuple[str, list[str]]:
    shape = _ENV.fullmatch(piece.text.strip().rstrip(";"))
    if shape is None:
        return "", ["expected 'create mle env NAME imports (…)'"]
    faults = []
    for item in shape.group("imports").split(","):
        one = _IMPORT.fullmatch(item)
        if one is None:
            faults.append(f"expected 'alias' module NAME, found {item.strip()}")
        elif one.group(2).lower() not in known:
            faults.append(f"there is no module {one.group(2)}")
    return shape.group("name").lower(), faults


def _call(  # noqa: PLR0911 - what is wrong at first makes the rest unreadable
    node: Subprogram, known: dict[str, Module], environments: set[str]
) -> Iterator[str]:
    try:
        parts = call_specification(node.foreign or "")
    except SourceError as error:
        yield error.message
        return
    if parts is None:
        yield f"{node.name}: only MLE call specifications are used here"
        return
    module_name, environment, signature = parts
    module = known.get(module_name)
    if module is None:
        yield f"{node.name}: there is no module {module_name}"
        return
    if environment is not None and environment not in environments:
        yield f"{node.name}: there is no environment {environment}"
    shape = _SIGNATURE.fullmatch(signature)
    if shape is None:
        yield f"{node.name}: the signature '{signature}' is not name(type, …)"
        return
    name, types = shape.group(1), _items(shape.group(2) or "")
    exported = module.exports().get(name)
    if exported is None:
        yield f"{node.name}: {module_name} exports no function {name}"
        return
    if len(exported) != len(node.parameters):
        yield f"{node.name}: {len(node.parameters)} parameters, {name} takes {len(exported)} (ORA-04151)"
    if shape.group(2) is None:
        return
    if len(types) != len(node.parameters):
        yield f"{node.name}: {len(node.parameters)} parameters, the signature has {len(types)} (ORA-04151)"
        return
    for parameter, type_name in zip(node.parameters, types, strict=True):
        yield from _types(node, parameter, type_name)


def _types(node: Subprogram, parameter: Parameter, type_name: str) -> Iterator[str]:
    wrapper = {"out": "Out", "in out": "InOut"}.get(parameter.mode)
    if wrapper is not None:
        shape = re.fullmatch(rf"{wrapper}<(\w+)>", type_name)
        if shape is None:
            yield f"{node.name}: {parameter.name} is {parameter.mode}, the signature needs {wrapper}<…>"
            return
        type_name = shape.group(1)
    allowed = TYPES.get(parameter.type.split("(")[0].split(" ")[0], ())
    if type_name not in allowed:
        wanted = " or ".join(allowed) or "nothing known"
        yield f"{node.name}: {parameter.name} is {parameter.type}, the signature says {type_name} ({wanted})"
