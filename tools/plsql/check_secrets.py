"""No secret stands in the source, and none reaches a log, an error message or a page.

A variable counts as secret by its name, or because a secret was put into it. That is coarse, and it is meant to be: a
name that says key, secret, password or token has no business in a call that writes text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.plsql.finding import Finding
from tools.plsql.lexer import Token
from tools.plsql.tree import (
    Argument,
    Assign,
    Binary,
    Call,
    Case,
    Cast,
    Expression,
    Literal,
    Parameter,
    Predicate,
    Reference,
    Sql,
    Subprogram,
    Unary,
    Unit,
    Variable,
    walk,
)
from tools.plsql.world import World, strings_in

_SECRET_NAME = re.compile(
    r"^(p_|po_|pio_|l_|g_|r_)?(\w+_)?(api_key|key|secret|password|passwd|pwd|token|credential)(_value|_text)?$"
)
_HARMLESS_NAMES = frozenset({"p_key", "key", "l_key", "c_key"})
"""JSON and index keys, which the suffix alone would take for secrets."""

_SOURCES = ("rtm_secret.", "apex_jwt.encode", "rtm_token.issue")
_SINKS = (
    "rtm_log_api.",
    "rtm_error.fail",
    "raise_application_error",
    "dbms_output.",
    "apex_debug.",
    "apex_error.",
    "apex_application.",
    "htp.",
    "dbms_application_info.",
    "dbms_session.set_identifier",
)
_TABLES_OF_TEXT = ("rtm_log", "rtm_outbox")
_DIGESTS = ("length", "lengthb", "utl_raw.length", "dbms_lob.getlength", "nvl2")
"""Functions whose value says nothing of the secret itself."""

_RANDOM_LOOKING = re.compile(r"[A-Za-z0-9+/_=-]{24,}")
_PLACEHOLDER = re.compile(r"<.*>|change.?me|your.?", re.IGNORECASE)


def check_secrets(world: World) -> list[Finding]:
    """Findings about literal secrets and about secrets on their way into text."""
    findings: list[Finding] = []
    for unit in world.units:
        for line, message in [*_literals(unit), *_leaks(unit)]:
            findings.append(Finding(unit.path, line, "secret", message))
    for piece in world.pieces:
        if piece.kind == "plsql":
            for text, line in strings_in(piece):
                if _looks_random(text):
                    findings.append(Finding(piece.path, line, "secret", "this string looks like a key"))
    return sorted(set(findings))


def is_secret_name(name: str) -> bool:
    """Tell whether a variable of this name holds a secret."""
    return name not in _HARMLESS_NAMES and _SECRET_NAME.match(name) is not None


def _looks_random(text: str) -> bool:
    found = _RANDOM_LOOKING.fullmatch(text)
    if found is None:
        return False
    kinds = (str.isupper, str.islower, str.isdigit)
    return all(any(kind(char) for char in text) for kind in kinds)


def _literals(unit: Unit) -> Iterator[tuple[int, str]]:
    for node in walk(unit):
        if isinstance(node, Variable | Parameter):
            value = node.default if isinstance(node, Variable) else node.value
            yield from _literal(node.name, value, node.line)
        elif isinstance(node, Assign):
            yield from _literal(node.target.parts[-1].name, node.value, node.line)
        elif isinstance(node, Argument) and node.name is not None:
            yield from _literal(node.name, node.value, node.line)


def _literal(name: str, value: Expression | None, line: int) -> Iterator[tuple[int, str]]:
    bare = re.sub(r"^(p|po|pio|l|g|c)_", "", name)
    is_key = is_secret_name(name) or (name.startswith("c_") and is_secret_name(f"l_{bare}"))
    if is_key and isinstance(value, Literal) and value.kind == "string":
        is_name_of_setting = value.value.lower() == bare
        if len(value.value) >= 6 and not is_name_of_setting and not _PLACEHOLDER.fullmatch(value.value):
            yield line, f"{name} is given a secret in the source"


def _leaks(unit: Unit) -> Iterator[tuple[int, str]]:
    for node in walk(unit):
        if isinstance(node, Subprogram) and node.block is not None:
            yield from _leaks_in(node.block, _tainted(node.block))
    if unit.block is not None:
        yield from _leaks_in(unit.block, _tainted(unit.block))


def _tainted(block: object) -> set[str]:
    """The variables that a secret flows into, found by repeating until nothing is added."""
    tainted: set[str] = set()
    before = -1
    while before != len(tainted):
        before = len(tainted)
        for node in walk(block):
            if isinstance(node, Assign) and _carries(node.value, tainted):
                tainted.add(node.target.dotted)
            elif isinstance(node, Variable) and node.default is not None and _carries(node.default, tainted):
                tainted.add(node.name)
    return tainted


def _leaks_in(block: object, tainted: set[str]) -> Iterator[tuple[int, str]]:
    for node in walk(block):
        if isinstance(node, Call) and _is_sink(node.target):
            for argument in node.target.arguments or []:
                name = _carries(argument.value, tainted)
                if name:
                    yield argument.line, f"{name} would reach {node.target.dotted}"
        elif isinstance(node, Sql) and node.verb in ("insert", "update", "merge"):
            yield from _leaks_in_sql(node.tokens, tainted)


def _leaks_in_sql(tokens: list[Token], tainted: set[str]) -> Iterator[tuple[int, str]]:
    if not any(token.word(*_TABLES_OF_TEXT) for token in tokens):
        return
    for token in tokens:
        if token.kind == "word" and (token.low in tainted or is_secret_name(token.low)):
            yield token.line, f"{token.low} would be stored where it can be read"


def _is_sink(target: Reference) -> bool:
    return any(target.dotted == sink or (sink.endswith(".") and target.dotted.startswith(sink)) for sink in _SINKS)


def _carries(value: object, tainted: set[str]) -> str | None:  # noqa: PLR0911 - one return for each form
    """The secret that the value of an expression shows, or None. Comparisons show none."""
    if isinstance(value, Reference):
        return _carried_by(value, tainted)
    if isinstance(value, Binary):
        if value.operator in ("||", "+", "-"):
            return _carries(value.left, tainted) or _carries(value.right, tainted)
        return None
    if isinstance(value, Case):
        results = [result for _, result in value.branches]
        return next((name for item in [*results, value.otherwise] if (name := _carries(item, tainted))), None)
    if isinstance(value, Cast):
        return _carries(value.operand, tainted)
    if isinstance(value, Predicate | Unary | Literal) or value is None:
        return None
    return next(
        (name for node in walk(value) if isinstance(node, Reference) and (name := _carried_by(node, tainted))), None
    )


def _carried_by(reference: Reference, tainted: set[str]) -> str | None:
    dotted = reference.dotted
    if dotted.startswith(_SOURCES):
        return dotted
    last = reference.parts[-1].name
    is_variable = reference.parts[0].name.startswith(("p_", "po_", "pio_", "l_", "g_", "r_"))
    if dotted in tainted or (is_variable and is_secret_name(last)):
        return dotted
    if dotted in _DIGESTS:
        return None
    for argument in reference.arguments or []:
        found = _carries(argument.value, tainted)
        if found:
            return found
    return None
