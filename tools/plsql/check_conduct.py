"""What stored code must not do: hide errors, end the caller's transaction, build SQL from what a user typed."""

from __future__ import annotations

from collections.abc import Iterator

from tools.plsql.finding import Finding
from tools.plsql.lexer import QUOTED, WORD, tokenize
from tools.plsql.parse_unit import blocks_of
from tools.plsql.tree import (
    Binary,
    Block,
    Call,
    CursorWork,
    Execute,
    Expression,
    Handler,
    If,
    Literal,
    Loop,
    Pragma,
    Raise,
    Reference,
    Return,
    Sql,
    Statement,
    Subprogram,
    Unit,
    Variable,
    walk,
)
from tools.plsql.world import World, constant_text

AUTONOMOUS = frozenset({"rtm_log_api"})
"""Packages that may open a transaction of their own: the log, whose rows must survive a rollback."""

RAISERS = frozenset({"raise_application_error", "rtm_error.fail"})
"""Procedures that never return."""

_END_OF_TRANSACTION = ("commit", "rollback", "savepoint")
_ERROR_VALUES = ("sqlerrm", "sqlcode")
_ERROR_CALLS = ("dbms_utility.format_error_stack", "dbms_utility.format_error_backtrace")


def check_conduct(world: World) -> list[Finding]:
    """Findings in stored units; anonymous blocks answer only for errors they hide and SQL they build."""
    jobs = job_programs(world)
    findings: list[Finding] = []
    for unit in world.units:
        constants = _constants(unit, world)
        for line, rule, message in _unit(unit, jobs, constants):
            findings.append(Finding(unit.path, line, rule, message))
    return sorted(set(findings))


def job_programs(world: World) -> set[str]:
    """What the scripts hand to the scheduler: ``package.procedure`` of every job action."""
    programs: set[str] = set()
    for unit in world.units:
        for node in walk(unit):
            if isinstance(node, Reference) and node.dotted.endswith("dbms_scheduler.create_job"):
                for argument in node.arguments or []:
                    text = constant_text(argument.value)
                    if argument.name == "job_action" and text is not None:
                        programs.update(_dotted_names(text))
    return programs


def _dotted_names(text: str) -> Iterator[str]:
    tokens = tokenize(text)
    for at in range(len(tokens) - 2):
        one, dot, two = tokens[at : at + 3]
        if one.kind in (WORD, QUOTED) and dot.op(".") and two.kind in (WORD, QUOTED):
            yield f"{one.low}.{two.low}"


def _constants(unit: Unit, world: World) -> dict[str, str]:
    """Constants whose text is written in the source, by the name they are used with."""
    found: dict[str, str] = {}
    spec = world.unit("package", unit.name)
    for node in [*walk(unit), *(walk(spec) if spec else [])]:
        if isinstance(node, Variable) and node.constant and node.default is not None:
            text = constant_text(node.default)
            if text is not None:
                found[node.name] = text
    return found


def _unit(unit: Unit, jobs: set[str], constants: dict[str, str]) -> Iterator[tuple[int, str, str]]:
    for node in walk(unit):
        if isinstance(node, Handler) and "others" in node.names:
            yield from _handler(node)
        elif isinstance(node, Execute):
            yield from _dynamic(node, unit, constants)
        elif isinstance(node, CursorWork) and node.verb == "open" and _opens_text(node):
            yield node.line, "dynamic-sql", "open … for a text: use a static cursor"
        elif isinstance(node, Reference) and node.dotted == "raise_application_error":
            yield from _raised_number(node)
        elif isinstance(node, Reference) and node.parts[0].name == "dbms_sql":
            yield node.line, "dynamic-sql", "dbms_sql is not used here"
        elif isinstance(node, Pragma) and node.name == "autonomous_transaction" and unit.name not in AUTONOMOUS:
            yield node.line, "transaction", f"{unit.name} may not have a transaction of its own"
    for subprogram, block in blocks_of(unit):
        yield from _transactions(unit, subprogram, block, jobs)
        if subprogram is not None and subprogram.kind == "function" and not _always_leaves([block]):
            yield block.end_line, "no-return", f"{subprogram.name} can end without a return (ORA-06503)"


def _handler(handler: Handler) -> Iterator[tuple[int, str, str]]:
    last = handler.body[-1]
    if isinstance(last, Raise) or _is_raiser(last):
        return
    if not _keeps_error(handler.body):
        message = "'when others' neither raises the error nor hands sqlerrm to anybody: it is lost"
        yield handler.line, "swallow", message


def _is_raiser(statement: Statement) -> bool:
    return isinstance(statement, Call) and statement.target.dotted in RAISERS


def _keeps_error(body: list[Statement]) -> bool:
    """Tell whether a procedure is given the error's text."""
    for node in walk(body):
        if isinstance(node, Call):
            given = {ref.dotted for ref in walk(node.target.arguments or []) if isinstance(ref, Reference)}
            if given & {*_ERROR_VALUES, *_ERROR_CALLS}:
                return True
    return False


def _raised_number(reference: Reference) -> Iterator[tuple[int, str, str]]:
    arguments = reference.arguments or []
    if arguments and any(isinstance(node, Literal) for node in walk(arguments[0].value)):
        yield reference.line, "error-number", "a bare error number: raise it by its name"


def _dynamic(node: Execute, unit: Unit, constants: dict[str, str]) -> Iterator[tuple[int, str, str]]:
    for part in _parts(node.statement):
        if isinstance(part, Literal) or (isinstance(part, Reference) and part.dotted in constants):
            continue
        if isinstance(part, Reference) and part.parts[0].name == "dbms_assert":
            continue
        if unit.kind == "block" and isinstance(part, Reference) and _is_ours(part, unit):
            continue
        shown = part.dotted if isinstance(part, Reference) else "an expression"
        message = f"the dynamic SQL is built from {shown}: use literals, constants or dbms_assert"
        yield node.line, "dynamic-sql", message


def _parts(expression: Expression) -> list[Expression]:
    if isinstance(expression, Binary) and expression.operator == "||":
        return [*_parts(expression.left), *_parts(expression.right)]
    return [expression]


def _is_ours(part: Reference, unit: Unit) -> bool:
    """In an install script: a parameter that every call fills with a text from the script itself."""
    for subprogram, _ in blocks_of(unit):
        places = [i for i, item in enumerate(subprogram.parameters) if item.name == part.dotted] if subprogram else []
        if not places or subprogram is None:
            continue
        calls = [
            node
            for node in walk(unit)
            if isinstance(node, Reference) and node.dotted == subprogram.name and node.arguments is not None
        ]
        return bool(calls) and all(_is_given_as_text(call, places[0], part.dotted) for call in calls)
    return False


def _is_given_as_text(call: Reference, place: int, name: str) -> bool:
    for at, argument in enumerate(call.arguments or []):
        if argument.name == name or (argument.name is None and at == place):
            return constant_text(argument.value) is not None
    return True  # left out: the default is in the script


def _opens_text(node: CursorWork) -> bool:
    return bool(node.rest) and node.rest[0].word("for") and not node.rest[1].word("select", "with")


def _transactions(
    unit: Unit, subprogram: Subprogram | None, block: Block, jobs: set[str]
) -> Iterator[tuple[int, str, str]]:
    if unit.kind == "block":
        return
    name = subprogram.name if subprogram else "initialization"
    if _is_autonomous(block):
        ends = [node for node in walk(block.body) if isinstance(node, Sql) and node.verb == "commit"]
        if not ends:
            yield block.line, "transaction", f"{name}: an autonomous transaction that is never committed (ORA-06519)"
        return
    if any(program.split(".")[0] == unit.name for program in jobs):
        return  # the job owns its transaction
    for node in walk(block.body):
        if isinstance(node, Sql) and node.verb in _END_OF_TRANSACTION:
            message = f"{name}: {node.verb} in the caller's transaction"
            yield node.line, "transaction", message


def _is_autonomous(block: Block) -> bool:
    return any(isinstance(item, Pragma) and item.name == "autonomous_transaction" for item in block.declarations)


def _always_leaves(statements: list[Statement]) -> bool:
    """Tell whether a list of statements can only be left by return or raise."""
    if not statements:
        return False
    last = statements[-1]
    if isinstance(last, Return | Raise) or _is_raiser(last):
        return True
    if isinstance(last, If):
        lists = [body for _, body in last.branches]
        # A case statement without else raises CASE_NOT_FOUND; an if without else falls through.
        return last.otherwise is not None and all(_always_leaves(body) for body in [*lists, last.otherwise])
    if isinstance(last, Block):
        bodies = [last.body, *(handler.body for handler in last.handlers)]
        return all(_always_leaves(body) for body in bodies)
    return isinstance(last, Loop) and last.kind == "loop" and not _has_exit(last.body)


def _has_exit(body: list[Statement]) -> bool:
    return any(type(node).__name__ == "Exit" and node.verb == "exit" for node in walk(body))
