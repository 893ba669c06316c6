"""What belongs together agrees: specification and body, a unit and its end, a unit and its size."""

from __future__ import annotations

from tools.plsql.finding import Finding
from tools.plsql.parse_unit import blocks_of
from tools.plsql.tree import Declaration, Parameter, Subprogram, Unit
from tools.plsql.world import World

MAX_SUBPROGRAM_LINES = 60
MAX_BODY_LINES = 400


def check_signatures(world: World) -> list[Finding]:
    """Every subprogram of a specification is in the body, the same in name, mode, type and default."""
    findings: list[Finding] = []
    for unit in world.units:
        if unit.kind == "package":
            findings.extend(_compare(unit, world.unit("package body", unit.name)))
        elif unit.kind == "package body":
            if world.unit("package", unit.name) is None:
                findings.append(_find(unit, unit.line, f"package body {unit.name} has no specification"))
            findings.extend(_inside(unit))
    return findings


def _subprograms(declarations: list[Declaration]) -> list[Subprogram]:
    return [item for item in declarations if isinstance(item, Subprogram)]


def _compare(spec: Unit, body: Unit | None) -> list[Finding]:
    declared = _subprograms(spec.declarations)
    findings = _duplicates(spec, declared)
    if body is None:
        if any(item.foreign is None for item in declared):
            findings.append(_find(spec, spec.line, f"package {spec.name} has no body"))
        return findings
    defined = _subprograms(body.declarations)
    for item in declared:
        if item.foreign is not None:
            continue
        namesakes = [other for other in defined if other.name == item.name and _has_body(other)]
        if not namesakes:
            findings.append(_find(body, body.line, f"{item.kind} {item.name} of the specification has no body"))
        elif not any(_difference(item, other) is None for other in namesakes):
            nearest = max(namesakes, key=lambda other: _likeness(item, other))
            findings.append(_find(body, nearest.line, f"{item.name}: {_difference(item, nearest)}"))
    return findings


def _has_body(subprogram: Subprogram) -> bool:
    return subprogram.block is not None or subprogram.foreign is not None


def _inside(body: Unit) -> list[Finding]:
    subprograms = _subprograms(body.declarations)
    findings = _duplicates(body, [item for item in subprograms if _has_body(item)])
    for forward in subprograms:
        if not _has_body(forward):
            same = [item for item in subprograms if item.name == forward.name and _has_body(item)]
            if not any(_difference(forward, item) is None for item in same):
                findings.append(_find(body, forward.line, f"{forward.name} is declared and never defined"))
    return findings


def _duplicates(unit: Unit, subprograms: list[Subprogram]) -> list[Finding]:
    """Overloads that a caller could not tell apart: the same required types in the same order (PLS-00307)."""
    seen: dict[tuple[str, str, tuple[str, ...]], Subprogram] = {}
    findings = []
    for item in subprograms:
        types = tuple(f"{parameter.name} {_family(parameter.type)}" for parameter in item.parameters)
        key = (item.kind, item.name, types)
        if key in seen:
            findings.append(_find(unit, item.line, f"{item.name} is there twice with the same parameters"))
        seen[key] = item
    return findings


def _family(type_name: str) -> str:
    return type_name.split("(", maxsplit=1)[0]


def _difference(spec: Subprogram, body: Subprogram) -> str | None:
    if spec.kind != body.kind:
        return f"a {spec.kind} in the specification, a {body.kind} in the body"
    if len(spec.parameters) != len(body.parameters):
        return f"{len(spec.parameters)} parameters in the specification, {len(body.parameters)} in the body"
    for one, other in zip(spec.parameters, body.parameters, strict=True):
        if _shown(one) != _shown(other):
            return f"the specification has '{_shown(one)}', the body '{_shown(other)}'"
    if spec.returns != body.returns:
        return f"the specification returns {spec.returns}, the body {body.returns}"
    if spec.options != body.options:
        return f"the specification says '{spec.options}', the body '{body.options}'"
    return None


def _likeness(spec: Subprogram, body: Subprogram) -> int:
    return sum(_shown(one) == _shown(other) for one, other in zip(spec.parameters, body.parameters, strict=False))


def _shown(parameter: Parameter) -> str:
    default = f" default {parameter.default}" if parameter.default is not None else ""
    nocopy = " nocopy" if parameter.nocopy else ""
    return f"{parameter.name} {parameter.mode}{nocopy} {parameter.type}{default}"


def check_ends(world: World) -> list[Finding]:
    """The name after ``end`` is there and is the unit's own."""
    findings: list[Finding] = []
    for unit in world.units:
        if unit.kind in ("package", "package body"):
            findings.extend(_end(unit, unit.name, unit.end_name, unit.end_line))
        for subprogram, block in blocks_of(unit):
            if subprogram is not None:
                findings.extend(_end(unit, subprogram.name, block.end_name, block.end_line))
    return findings


def _end(unit: Unit, name: str, end_name: str | None, line: int) -> list[Finding]:
    if end_name == name:
        return []
    what = "no name" if end_name is None else f"the name {end_name}"
    return [Finding(unit.path, line, "end-name", f"{name} ends with {what}")]


def check_sizes(world: World) -> list[Finding]:
    """No subprogram over 60 lines, no package body over 400."""
    findings: list[Finding] = []
    for unit in world.units:
        lines = unit.end_line - unit.line + 1
        if unit.kind == "package body" and lines > MAX_BODY_LINES:
            message = f"{unit.name} has {lines} lines, at most {MAX_BODY_LINES} are allowed"
            findings.append(Finding(unit.path, unit.line, "size", message))
        for subprogram, _ in blocks_of(unit):
            if subprogram is None:
                continue
            lines = subprogram.end_line - subprogram.line + 1
            if lines > MAX_SUBPROGRAM_LINES:
                message = f"{subprogram.name} has {lines} lines, at most {MAX_SUBPROGRAM_LINES} are allowed"
                findings.append(Finding(unit.path, subprogram.line, "size", message))
    return findings


def _find(unit: Unit, line: int, message: str) -> Finding:
    return Finding(unit.path, line, "signature", message)
