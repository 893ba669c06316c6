"""Rules for attributes: numbers, types, lists, defaults, dependencies, help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tools.plugins.lint_file import Fault
from tools.plugins.model import Export
from tools.plugins.statement import Statement
from tools.plugins.vocabulary import (
    ATTRIBUTE_TYPES,
    CONDITIONS,
    CONDITIONS_WITH_VALUE,
    LIST_TYPES,
    MAX_ATTRIBUTES,
    SCOPES,
)


def check_attributes(export: Export) -> Iterator[Fault]:
    """Every attribute on its own, and their numbers together."""
    numbers = Counter(_place(export, attribute) for attribute in export.attributes)
    for attribute in export.attributes:
        scope, sequence = _place(export, attribute)
        if scope not in SCOPES:
            yield attribute.line, "scope", f"'{scope}' is none of {', '.join(SCOPES)}"
        if sequence is None or not 1 <= sequence <= MAX_ATTRIBUTES:
            yield attribute.line, "sequence", f"attribute {sequence}: the records end at ATTRIBUTE_{MAX_ATTRIBUTES}"
        if numbers[scope, sequence] > 1:
            yield attribute.line, "sequence", f"{scope} attribute {sequence} is there {numbers[scope, sequence]} times"
        yield from _kind(export, attribute)
        yield from _list(export, attribute)
        yield from _default(export, attribute)
        yield from _dependency(export, attribute)
        yield from _help(export, attribute)


def _place(export: Export, attribute: Statement) -> tuple[str, int | None]:
    return export.text(attribute, "p_attribute_scope"), export.number(attribute, "p_attribute_sequence")


def _prompt(export: Export, attribute: Statement) -> str:
    return export.text(attribute, "p_prompt")


def _kind(export: Export, attribute: Statement) -> Iterator[Fault]:
    kind = export.text(attribute, "p_attribute_type")
    if kind not in ATTRIBUTE_TYPES:
        yield attribute.line, "attribute-type", f"{_prompt(export, attribute)}: '{kind}' is no type of 23.1"
    max_length = export.number(attribute, "p_max_length")
    if max_length is not None and not 1 <= max_length <= 4000:
        yield attribute.line, "max-length", f"{_prompt(export, attribute)}: {max_length} is not in 1 to 4000"


def _list(export: Export, attribute: Statement) -> Iterator[Fault]:
    prompt, values = _prompt(export, attribute), export.values_of(attribute)
    is_list = export.text(attribute, "p_attribute_type") in LIST_TYPES
    if is_list != (export.text(attribute, "p_lov_type") == "STATIC"):
        yield attribute.line, "lov", f"{prompt}: p_lov_type=>'STATIC' belongs to lists, and to nothing else"
    if is_list and len(values) < 2:
        yield attribute.line, "lov", f"{prompt}: a list of {len(values)} is no choice"
    if not is_list and values:
        yield attribute.line, "lov", f"{prompt}: values, but no list"
    for name in ("p_return_value", "p_display_value", "p_display_sequence"):
        counts = Counter((export.text(value, name), export.number(value, name)) for value in values)
        for value in values:
            if counts[export.text(value, name), export.number(value, name)] > 1:
                yield value.line, "lov", f"{prompt}: {name} is the same in two values"
    for value in values:
        if set(":,") & set(export.text(value, "p_return_value")):
            yield value.line, "lov", f"{prompt}: a value with a colon or comma cannot be told from two"


def _default(export: Export, attribute: Statement) -> Iterator[Fault]:
    value = attribute.value("p_default_value")
    kind = export.text(attribute, "p_attribute_type")
    prompt = _prompt(export, attribute)
    if value is None:
        if export.number(attribute, "p_is_required") and (kind in LIST_TYPES or kind == "CHECKBOX"):
            yield attribute.line, "default", f"{prompt}: a required choice without a default is a click for everybody"
        return
    allowed = [export.text(choice, "p_return_value") for choice in export.values_of(attribute)]
    given = value.text.split(":") if kind == "CHECKBOXES" else [value.text]
    if kind in LIST_TYPES and not set(given) <= set(allowed):
        yield attribute.line, "default", f"{prompt}: the default '{value.text}' is not in the list"
    if kind == "CHECKBOX" and value.text not in ("Y", "N"):
        yield attribute.line, "default", f"{prompt}: a switch is Y or N, not '{value.text}'"
    if kind == "INTEGER" and not value.text.isdecimal():
        yield attribute.line, "default", f"{prompt}: '{value.text}' is no whole number"


def _dependency(export: Export, attribute: Statement) -> Iterator[Fault]:
    prompt, parent_id = _prompt(export, attribute), export.number(attribute, "p_depending_on_attribute_id")
    condition = export.text(attribute, "p_depending_on_condition_type")
    expression = export.text(attribute, "p_depending_on_expression")
    if parent_id is None:
        if condition or expression:
            yield attribute.line, "dependency", f"{prompt}: a condition without the attribute it is about"
        return
    if condition not in CONDITIONS:
        yield attribute.line, "dependency", f"{prompt}: '{condition}' is no condition"
    if bool(expression) != (condition in CONDITIONS_WITH_VALUE):
        yield attribute.line, "dependency", f"{prompt}: {condition} and the expression '{expression}' do not fit"
    if not export.number(attribute, "p_depending_on_has_to_exist"):
        yield attribute.line, "dependency", f"{prompt}: p_depending_on_has_to_exist must be true"
    yield from _parent(export, attribute, parent_id, expression.split(","))


def _parent(export: Export, attribute: Statement, parent_id: int, wanted: list[str]) -> Iterator[Fault]:
    prompt = _prompt(export, attribute)
    chain = [export.number(attribute, "p_id")]
    at: int | None = parent_id
    while at is not None:
        if at in chain:
            yield attribute.line, "dependency", f"{prompt}: it depends on itself"
            return
        chain.append(at)
        above = next((item for item in export.attributes if export.number(item, "p_id") == at), None)
        at = export.number(above, "p_depending_on_attribute_id") if above else None
    parent = next((item for item in export.attributes if export.number(item, "p_id") == parent_id), None)
    if parent is None:
        return  # the rule "reference" says so
    if export.text(parent, "p_attribute_scope") != export.text(attribute, "p_attribute_scope"):
        yield attribute.line, "dependency", f"{prompt}: the attribute it depends on has another scope"
    known = {export.text(value, "p_return_value") for value in export.values_of(parent)}
    if known and not set(wanted) <= known | {""}:
        yield attribute.line, "dependency", f"{prompt}: {', '.join(wanted)} is no value of {_prompt(export, parent)}"


def _help(export: Export, attribute: Statement) -> Iterator[Fault]:
    for name in ("p_help_text", "p_examples"):
        if not export.text(attribute, name).strip():
            yield attribute.line, "help", f"{_prompt(export, attribute)}: {name} is missing"
