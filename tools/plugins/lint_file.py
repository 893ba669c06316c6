"""Rules for an import file as a text and as a list of calls."""

from __future__ import annotations

from collections.abc import Iterator

from tools.plsql.script import COMMAND
from tools.plugins.model import Export
from tools.plugins.statement import MAX_ELEMENT_BYTES, OTHER, Argument, Statement, Value
from tools.plugins.vocabulary import CALLS, LATER, STAMPS, Parameter, is_known, release_of

MAX_LINE = 1000
"""SQL*Plus takes longer lines, older ones and copies through a terminal do not."""

Fault = tuple[int, str, str]
"""(line, rule, message)."""

_BEGIN, _END = "wwv_flow_imp.import_begin", "wwv_flow_imp.import_end"
_SETTINGS = (
    "set define off verify off feedback off",
    "whenever sqlerror exit sql.sqlcode rollback",
    "set verify on feedback on define on",
)


def check_text(export: Export) -> Iterator[Fault]:
    """ASCII, line lengths, line ends."""
    for number, line in enumerate(export.source.lines, start=1):
        if not line.isascii():
            yield number, "ascii", "a character that is not ASCII depends on NLS_LANG: write it with unistr"
        if len(line) > MAX_LINE:
            yield number, "line-length", f"{len(line)} characters, at most {MAX_LINE}"
        if "\r" in line:
            yield number, "line-end", "a carriage return"
    if export.source.lines[-1] != "":
        yield len(export.source.lines), "line-end", "the last line has no line feed"


def check_frame(export: Export) -> Iterator[Fault]:
    """What stands around the calls: settings, begin, mode, end, commit."""
    commands = [piece.text.lower() for piece in export.source.pieces if piece.kind == COMMAND]
    for setting in _SETTINGS:
        if setting not in commands:
            yield 1, "frame", f"the command '{setting}' is missing"
    names = [call.target for call in export.calls]
    if names[:1] != [_BEGIN] or names.count(_BEGIN) != 1:
        yield 1, "frame", f"{_BEGIN} must be the first call, and once"
    if names[-2:] != [_END, "commit"] or names.count(_END) != 1:
        yield len(export.source.lines), "frame", f"{_END} and commit must be the last calls, and once"
    modes = [item for item in export.source.statements if item.target == "wwv_flow_imp.g_mode"]
    if [mode.arguments[0].value.text for mode in modes] != ["REPLACE"]:
        yield 1, "frame", "wwv_flow_imp.g_mode must be set once, to REPLACE: a second import would be an error"


def check_stamp(export: Export) -> Iterator[Fault]:
    """The date stamp is one of a release, and the release is that one."""
    for call in export.calls:
        if call.target != _BEGIN:
            continue
        stamp, release = export.text(call, "p_version_yyyy_mm_dd"), export.text(call, "p_release")
        if stamp not in STAMPS:
            yield call.line, "stamp", f"no release has the date stamp '{stamp}'"
        elif release.rsplit(".", 1)[0] != STAMPS[stamp] or release.count(".") != 2:
            yield call.line, "stamp", f"the date stamp is that of {STAMPS[stamp]}, the release is '{release}'"


def stamped_release(export: Export) -> str:
    """The release that the date stamp names; 23.1 where it names none."""
    for call in export.calls:
        if call.target == _BEGIN:
            return release_of(export.text(call, "p_version_yyyy_mm_dd")) or "23.1"
    return "23.1"


def check_calls(export: Export) -> Iterator[Fault]:
    """Known calls with known parameters and values of the right type and length."""
    release = stamped_release(export)
    for call in export.calls:
        if call.target not in CALLS:
            yield call.line, "call", f"{call.target} is no call of an import file"
            continue
        yield from _call(call, CALLS[call.target], release)
    for statement in export.source.statements:
        if statement.is_assignment and not statement.target.startswith("wwv_flow_imp.g_"):
            yield statement.line, "call", f"{statement.target} is not set by import files"


def _call(call: Statement, parameters: dict[str, Parameter], release: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for argument in call.arguments:
        name = argument.name
        if not name:
            yield argument.line, "call", f"{call.target}: an argument without a name"
        elif name in seen:
            yield argument.line, "twice", f"{call.target}: {name} is given twice"
        elif name in parameters:
            yield from _value(argument, parameters[name])
        else:
            yield _unknown(call, argument, release)
        seen.add(name)
    for name, parameter in parameters.items():
        if parameter.required and name not in seen:
            yield call.line, "missing", f"{call.target}: {name} is missing"


def _unknown(call: Statement, argument: Argument, release: str) -> Fault:
    since = LATER.get(call.target, {}).get(argument.name)
    if since is None:
        return argument.line, "parameter", f"{call.target} has no parameter {argument.name}"
    if is_known(release, since):
        return argument.line, "later", f"{argument.name} came with {since}: this project writes the vocabulary of 23.1"
    return argument.line, "later", f"{argument.name} came with {since}, the date stamp says {release}"


def _value(argument: Argument, parameter: Parameter) -> Iterator[Fault]:
    value: Value = argument.value
    if parameter.kind and value.kind != parameter.kind:
        shown = f"the expression {value.text[:40]}" if value.kind == OTHER else f"a {value.kind}"
        yield argument.line, "type", f"{argument.name} takes a {parameter.kind}, not {shown}"
        return
    size = len(value.text.encode())
    if parameter.max_bytes is not None and size > parameter.max_bytes:
        yield argument.line, "length", f"{argument.name} has {size} bytes, at most {parameter.max_bytes}"
    if value.longest_element_bytes > MAX_ELEMENT_BYTES:
        yield argument.line, "length", f"{argument.name}: a line of {value.longest_element_bytes} bytes, at most 4000"
