"""Every error is a triplet: an exception, a constant with its number, and the pragma that joins them."""

from __future__ import annotations

from collections.abc import Iterator

from tools.plsql.finding import Finding
from tools.plsql.tree import ExceptionName, Literal, Pragma, Unary, Unit, Variable, walk
from tools.plsql.world import World

RANGE = range(-20749, -20699)
"""The numbers of this product, so that they do not meet those of the application around it."""


def check_errors(world: World) -> list[Finding]:
    """Findings about exceptions in package specifications, and numbers used twice in all of them."""
    findings: list[Finding] = []
    seen: dict[int, str] = {}
    for unit in world.units:
        if unit.kind == "package":
            for line, message in _spec(unit, seen):
                findings.append(Finding(unit.path, line, "errors", message))
    return findings


def _spec(unit: Unit, seen: dict[int, str]) -> Iterator[tuple[int, str]]:
    numbers = {pragma.arguments[0]: _number(pragma) for pragma in _inits(unit)}
    codes = _codes(unit)
    for declaration in unit.declarations:
        if not isinstance(declaration, ExceptionName):
            continue
        name, line = declaration.name, declaration.line
        number, code = numbers.get(name), codes.get(name.replace("e_", "c_", 1))
        if number is None:
            yield line, f"{name} has no exception_init: nobody outside can tell it from another error"
        elif number not in RANGE:
            yield line, f"{name}: {number} is outside {RANGE[-1]} to {RANGE[0]}"
        elif code != number:
            yield line, f"{name} is {number}, its constant {name.replace('e_', 'c_', 1)} is {code}"
        elif number in seen:
            yield line, f"{name} and {seen[number]} share the number {number}"
        if number is not None:
            seen[number] = name


def _inits(unit: Unit) -> list[Pragma]:
    return [
        node for node in walk(unit) if isinstance(node, Pragma) and node.name == "exception_init" and node.arguments
    ]


def _number(pragma: Pragma) -> int | None:
    text = "".join(pragma.arguments[1:])
    return int(text) if text.lstrip("-").isdigit() else None


def _codes(unit: Unit) -> dict[str, int]:
    codes: dict[str, int] = {}
    for node in unit.declarations:
        if isinstance(node, Variable) and node.constant and isinstance(node.default, Unary):
            operand = node.default.operand
            if isinstance(operand, Literal) and operand.value.isdigit():
                codes[node.name] = -int(operand.value)
    return codes
