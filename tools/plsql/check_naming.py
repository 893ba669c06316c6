"""The prefixes that tell what a name is, and modes that are written out."""

from __future__ import annotations

from collections.abc import Iterator

from tools.plsql.finding import Finding
from tools.plsql.tree import (
    Block,
    Cursor,
    Declaration,
    ExceptionName,
    Loop,
    Parameter,
    Subprogram,
    TypeName,
    Unit,
    Variable,
    walk,
)
from tools.plsql.world import World

PUBLISHED = frozenset({("websocket_pkg", "register", "p_token")})
"""Parameters whose names were published by others before these rules, and are kept as published."""

_MODE_PREFIX = {"in": "p_", "out": "po_", "in out": "pio_"}


def check_naming(world: World) -> list[Finding]:
    """Findings about prefixes, modes and public state."""
    findings: list[Finding] = []
    for unit in world.units:
        for line, message in _unit(unit):
            findings.append(Finding(unit.path, line, "naming", message))
    return sorted(set(findings))


def _unit(unit: Unit) -> Iterator[tuple[int, str]]:
    in_package = unit.kind in ("package", "package body")
    for declaration in unit.declarations:
        yield from _declaration(declaration, "g_" if in_package else "l_", unit)
        if unit.kind == "package" and isinstance(declaration, Variable) and not declaration.constant:
            yield (
                declaration.line,
                f"{declaration.name}: state that everybody can change (a variable in a specification)",
            )
    for node in walk(unit):
        if isinstance(node, Block):
            for declaration in node.declarations:
                yield from _declaration(declaration, "l_", unit)
        elif isinstance(node, Loop) and node.variable is not None:
            good = node.variable.startswith("r_") if node.kind == "cursor" else node.variable in ("i", "j", "k")
            if not good and not node.variable.startswith("l_"):
                wanted = "r_…" if node.kind == "cursor" else "i, j or k"
                yield node.line, f"the loop variable {node.variable} should be {wanted}"


def _declaration(declaration: Declaration, variable_prefix: str, unit: Unit) -> Iterator[tuple[int, str]]:
    name = getattr(declaration, "name", "")
    prefix = None
    if isinstance(declaration, Variable):
        prefix = "c_" if declaration.constant else variable_prefix
        if not declaration.constant and variable_prefix == "l_" and name.startswith("r_"):
            prefix = "r_"
    elif isinstance(declaration, TypeName):
        prefix = "t_"
    elif isinstance(declaration, ExceptionName):
        prefix = "e_"
    elif isinstance(declaration, Cursor):
        prefix = "cur_"
    elif isinstance(declaration, Subprogram):
        for parameter in declaration.parameters:
            yield from _parameter(parameter, declaration, unit)
    if prefix is not None and not name.startswith(prefix):
        kind = "constant" if prefix == "c_" else type(declaration).__name__.removesuffix("Name").lower()
        yield declaration.line, f"the {kind} {name} should begin with {prefix}"


def _parameter(parameter: Parameter, subprogram: Subprogram, unit: Unit) -> Iterator[tuple[int, str]]:
    if not parameter.mode:
        yield parameter.line, f"{parameter.name}: the mode is not written (in, out or in out)"
        return
    if (unit.name, subprogram.name, parameter.name) in PUBLISHED:
        return
    prefix = _MODE_PREFIX[parameter.mode]
    if not parameter.name.startswith(prefix):
        yield parameter.line, f"the {parameter.mode} parameter {parameter.name} should begin with {prefix}"
    if parameter.nocopy and parameter.mode == "in":
        yield parameter.line, f"{parameter.name}: nocopy means nothing for an in parameter (PLS-00103)"
