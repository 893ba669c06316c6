"""Rules for the plug-in itself: names, interface, ids, events and embedded files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from tools.plugins.lint_file import Fault, stamped_release
from tools.plugins.model import Embedded, Export
from tools.plugins.statement import ID, Statement
from tools.plugins.vocabulary import (
    CATEGORIES,
    COMPONENT_TYPES,
    MIME_TYPES,
    PLUGIN_TYPES,
    STANDARD_ATTRIBUTES,
    api_version_of,
)

HEX_LINE = 200
MIN_ID, MAX_ID = 10**16, 10**20 - 1

_FUNCTION = re.compile(r"[A-Z][A-Z0-9_$#]{0,127}\.[A-Z][A-Z0-9_$#]{0,127}")
_URL = re.compile(r"#PLUGIN_FILES#(\S+)")


def check_plugin(export: Export) -> Iterator[Fault]:
    """One plug-in, of a known type, with names that the columns take."""
    if len(export.plugins) != 1:
        yield 1, "one-plugin", f"{len(export.plugins)} plug-ins in one file, there must be one"
    for call in export.plugins:
        kind, name = export.text(call, "p_plugin_type"), export.text(call, "p_name")
        if kind not in PLUGIN_TYPES:
            yield call.line, "plugin-type", f"'{kind}' is none of {', '.join(PLUGIN_TYPES)}"
        if name != name.upper():
            yield call.line, "name", f"the internal name {name} must be in upper case (check constraint)"
        wanted = f"{kind.lower().replace(' ', '_')}_plugin_{name.lower()}.sql"
        if export.source.path != wanted:
            yield call.line, "file-name", f"APEX calls the export of this plug-in {wanted}"
        yield from _choices(export, call, kind)
        release = stamped_release(export)
        if export.number(call, "p_api_version") != api_version_of(release):
            yield call.line, "api-version", f"exports of {release} say {api_version_of(release)} for functions"
        yield from _callbacks(export, call, kind)


def _choices(export: Export, call: Statement, kind: str) -> Iterator[Fault]:
    category = export.text(call, "p_category")
    if (kind == "DYNAMIC ACTION" and category not in CATEGORIES) or (kind == "PROCESS TYPE" and category):
        yield call.line, "category", f"'{category}' is no category of a {kind}"
    components = [item for item in export.text(call, "p_supported_component_types").split(":") if item]
    is_fit = bool(components) == (kind == "PROCESS TYPE") and set(components) <= set(COMPONENT_TYPES)
    if not is_fit:
        yield call.line, "component-types", f"{components or 'none'}: not what a {kind} of 23.1 can support"
    for standard in export.text(call, "p_standard_attributes").split(":"):
        if standard and (standard not in STANDARD_ATTRIBUTES or kind != "DYNAMIC ACTION"):
            yield call.line, "standard-attributes", f"'{standard}' is no standard attribute of a {kind}"


def _callbacks(export: Export, call: Statement, kind: str) -> Iterator[Fault]:
    if call.value("p_plsql_code") is not None:
        yield call.line, "inline-code", "the code is in RTM_PLUGIN: a copy here would have to be kept equal"
    given = {name: export.text(call, f"p_{name}_function") for name in ("render", "ajax", "execution")}
    wanted = {"DYNAMIC ACTION": {"render", "ajax"}, "PROCESS TYPE": {"execution"}}.get(kind, set())
    if {name for name, function in given.items() if function} != wanted:
        yield call.line, "callback", f"a {kind} of this project has the functions {', '.join(sorted(wanted))}"
    for function in filter(None, given.values()):
        if not _FUNCTION.fullmatch(function):
            yield call.line, "callback", f"'{function}' is not PACKAGE.FUNCTION in upper case"


def check_ids(export: Export) -> Iterator[Fault]:
    """Ids are long, unique, and lead somewhere: all plug-ins of an instance share one set of primary keys."""
    own = [(export.number(call, "p_id"), call) for call in export.calls if call.value("p_id") is not None]
    counts = Counter(number for number, _ in own)
    for number, call in own:
        if counts[number] > 1:
            yield call.line, "id", f"the id {number} is there {counts[number]} times"
        if number is None or not MIN_ID <= number <= MAX_ID:
            yield call.line, "id", f"the id {number} must have 17 to 20 digits"
    plugin_ids = {export.number(call, "p_id") for call in export.plugins}
    attribute_ids = {export.number(call, "p_id") for call in export.attributes}
    targets = {
        "p_plugin_id": plugin_ids,
        "p_plugin_attribute_id": attribute_ids,
        "p_depending_on_attribute_id": attribute_ids,
    }
    for call in export.calls:
        for argument in call.arguments:
            known = targets.get(argument.name)
            if known is not None and argument.value.kind == ID and argument.value.number not in known:
                yield argument.line, "reference", f"{argument.name}: nothing here has the id {argument.value.number}"


def check_order(export: Export) -> Iterator[Fault]:
    """What refers to something comes after it."""
    seen: set[int] = set()
    for call in export.calls:
        for name in ("p_plugin_id", "p_plugin_attribute_id"):
            number = export.number(call, name)
            if number is not None and number not in seen:
                yield call.line, "order", f"{call.target} comes before what {name} refers to"
        own = export.number(call, "p_id")
        if own is not None:
            seen.add(own)


def check_events(export: Export) -> Iterator[Fault]:
    """Event names are in lower case (check constraint) and there once."""
    names = Counter(export.text(event, "p_name") for event in export.events)
    for event in export.events:
        name = export.text(event, "p_name")
        if name != name.lower() or not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
            yield event.line, "event", f"the event name '{name}' must be in lower case: letters, digits, - and _"
        if names[name] > 1:
            yield event.line, "event", f"the event {name} is there {names[name]} times"


def check_files(export: Export) -> Iterator[Fault]:
    """Every file that a page loads is embedded, and the other way round."""
    names = [file.name for file in export.files]
    for file in export.files:
        if names.count(file.name) > 1:
            yield file.call.line, "file", f"the file {file.name} is there twice"
        yield from _file(export, file)
    for call in export.plugins:
        loaded = []
        for url in _urls(export, call):
            found = _URL.fullmatch(url)
            if found is None:
                yield call.line, "file-url", f"'{url}' is not #PLUGIN_FILES# and a name"
            else:
                loaded.extend(sorted({found[1].replace("#MIN#", small) for small in ("", ".min")}))
        for name in loaded:
            if name not in names:
                yield call.line, "file-url", f"{name} is loaded and not embedded"
        for name in names:
            if name not in loaded and not _is_named(export, name, loaded):
                yield call.line, "file-url", f"{name} is embedded and not loaded"
        version = export.number(call, "p_files_version")
        if (version is None) == bool(names) or version == 0:
            yield call.line, "files-version", "files need a version from 1, or browsers keep the old ones"


def _is_named(export: Export, name: str, loaded: list[str]) -> bool:
    """Whether a file that pages load names another one, to load it when it is needed."""
    stem = name.partition(".")[0].encode()
    return any(stem in file.content() for file in export.files if file.name in loaded)


def _urls(export: Export, call: Statement) -> list[str]:
    names = ("p_javascript_file_urls", "p_css_file_urls")
    return [url for name in names for url in export.text(call, name).split("\n") if url]


def _file(export: Export, file: Embedded) -> Iterator[Fault]:
    mime_type, charset = export.text(file.call, "p_mime_type"), export.text(file.call, "p_file_charset")
    if mime_type not in MIME_TYPES or charset != "utf-8":
        yield file.call.line, "file", f"{file.name}: '{mime_type}' in '{charset}' is not expected"
    if not file.is_reset:
        yield file.call.line, "hex-reset", f"{file.name}: the table still holds the file before it"
    for number, line in enumerate(file.lines, start=1):
        is_last = number == len(file.lines)
        if line.index != number:
            yield line.line, "hex-index", f"{file.name}: index {line.index} where {number} is due"
        size = len(line.text)
        is_good = 0 < size <= HEX_LINE and size % 2 == 0 if is_last else size == HEX_LINE
        if not is_good or not re.fullmatch(r"[0-9A-F]*", line.text):
            yield line.line, "hex-line", f"{file.name}: a line is {HEX_LINE} characters 0-9A-F, the last one shorter"
    yield from _content(file)


def _content(file: Embedded) -> Iterator[Fault]:
    try:
        text = file.content().decode("utf-8")
    except ValueError:
        yield file.call.line, "file", f"{file.name} is not UTF-8"
        return
    if not text.strip():
        yield file.call.line, "file", f"{file.name} is empty"
