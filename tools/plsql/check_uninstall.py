"""``90_uninstall.sql`` drops everything that the other scripts create, in an order that works, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from tools.plsql.finding import Finding
from tools.plsql.lexer import tokenize
from tools.plsql.script import SQL
from tools.plsql.stream import Stream
from tools.plsql.tree import Reference, walk
from tools.plsql.world import Created, World, constant_text

_GOES_WITH = ("index", "package body", "trigger", "queue")
"""Objects that go with another one and need no drop of their own."""

_MAKERS = {
    "dbms_scheduler.create_job": ("job", "job_name"),
    "dbms_aqadm.create_queue_table": ("queue table", "queue_table"),
    "dbms_aqadm.create_queue": ("queue", "queue_name"),
}
_REMOVERS = {
    "dbms_scheduler.drop_job": ("job", "job_name"),
    "dbms_aqadm.drop_queue_table": ("queue table", "queue_table"),
    "dbms_aqadm.drop_queue": ("queue", "queue_name"),
}
"""Procedures that make and remove objects: the kind, and the parameter with the name."""


def check_uninstall(world: World) -> list[Finding]:
    """Findings about what stays behind, what is dropped for no reason, and the order of dropping."""
    if not any(world.is_uninstall(piece.path) for piece in world.pieces):
        return []
    created = [item for item in [*world.objects, *_made_by_calls(world, _MAKERS)] if not world.is_uninstall(item.path)]
    dropped = _dropped(world)
    names = {(item.kind, item.name) for item in dropped}
    findings: list[Finding] = []
    findings.extend(
        _find(item, f"{item.kind} {item.name} is never dropped by the uninstall script")
        for item in created
        if item.kind not in _GOES_WITH and (item.kind, item.name) not in names
    )
    made = {(item.kind, item.name) for item in created}
    findings.extend(
        _find(item, f"{item.kind} {item.name} is dropped, and no script creates it")
        for item in dropped
        if (item.kind, item.name) not in made
    )
    findings.extend(_order(dropped))
    return sorted(set(findings))


def _find(item: Created, message: str) -> Finding:
    return Finding(item.path, item.line, "uninstall", message)


def _made_by_calls(world: World, procedures: dict[str, tuple[str, str]]) -> Iterator[Created]:
    for unit in world.units:
        for node in walk(unit):
            if isinstance(node, Reference) and node.dotted in procedures:
                kind, name = procedures[node.dotted]
                for argument in node.arguments or []:
                    text = constant_text(argument.value)
                    if argument.name == name and text is not None:
                        yield Created(kind, text.lower(), unit.path, node.line)


def _dropped(world: World) -> list[Created]:
    found = [item for item in _made_by_calls(world, _REMOVERS) if world.is_uninstall(item.path)]
    for piece in world.pieces:
        if world.is_uninstall(piece.path) and piece.kind == SQL:
            found.extend(_drop(piece.text, piece.path, piece.line))
    return sorted(found, key=lambda item: item.line)


def _drop(text: str, path: str, line: int) -> list[Created]:
    stream = Stream(tokenize(text, line))
    if not stream.accept("drop"):
        return []
    kind = stream.next().low
    if kind == "mle":
        kind = f"mle {stream.next().low}"
    if kind == "package" and stream.accept("body"):
        kind = "package body"
    stream.accept("if", "exists")
    return [Created(kind, stream.name(), path, line)]


def _order(dropped: list[Created]) -> Iterator[Finding]:
    """Jobs first, for they run; then what uses, then what is used: code, views, modules, tables."""
    code = dict.fromkeys(("package", "procedure", "function", "trigger"), 1)
    rank = {"job": 0, "queue table": 0, **code, "view": 2, "mle module": 3, "mle env": 3}
    highest, before = -1, ""
    for item in dropped:
        place = rank.get(item.kind, 4)
        if place < highest:
            yield _find(item, f"{item.kind} {item.name} is dropped after {before}, which it uses or runs on")
        elif place > highest:
            highest, before = place, f"{item.kind} {item.name}"
