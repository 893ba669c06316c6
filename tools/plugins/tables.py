"""The tables of docs/apex.md that say what the sources say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.plugins.manifest import Attribute, Dependency, Plugin

_BLOCK = re.compile(r"(<!-- generated: (\w+) (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(text: str, plugins: list[Plugin]) -> str:
    """``text`` with the content of every ``<!-- generated: FOLDER TABLE -->`` block written anew.

    Raises:
        KeyError: there is no such plug-in or table.
    """
    by_folder = {plugin.folder: plugin for plugin in plugins}
    makers = {"attributes": _attributes, "events": _events, "config": _config}

    def block(found: re.Match[str]) -> str:
        rows = makers[found[3]](by_folder[found[2]])
        return found[1] + "\n".join(rows) + "\n" + found[4]

    return _BLOCK.sub(block, text)


def _attributes(plugin: Plugin) -> Iterator[str]:
    for attribute in plugin.attributes:
        yield ""
        yield f"**{attribute.prompt}** — {'; '.join(_facts(attribute, plugin))}"
        yield ""
        yield attribute.help.strip()
        if attribute.values:
            yield ""
        for choice in attribute.values:
            yield f"- *{choice.display}*" + (f": {choice.help}" if choice.help else "")
        yield ""
        yield "Example: " + "; ".join(line.strip() for line in attribute.examples.strip().split("\n\n"))
    yield ""


def _facts(attribute: Attribute, plugin: Plugin) -> Iterator[str]:
    yield "component setting" if attribute.scope == "APPLICATION" else f"attribute {attribute.sequence}"
    yield attribute.type.lower() + (f", {attribute.unit}" if attribute.unit else "")
    yield "required" if attribute.required else "may stay empty"
    if attribute.default is not None:
        yield f"default `{attribute.default}`"
    if attribute.depends is not None:
        parents = (item for item in plugin.attributes if item.scope == attribute.scope)
        parent = next(item for item in parents if item.sequence == attribute.depends.on)
        yield f"shown when *{parent.prompt}* {_shown_when(parent, attribute.depends)}"


def _shown_when(parent: Attribute, depends: Dependency) -> str:
    displays = {choice.value: choice.display for choice in parent.values}
    shown = [f"*{displays.get(value, value)}*" for value in (depends.value or "").split(",")]
    words = {"EQUALS": "is", "IN_LIST": "is", "NOT_EQUALS": "is not", "NOT_IN_LIST": "is not"}
    verb = words.get(depends.condition)
    return f"{verb} {' or '.join(shown)}" if verb else {"NULL": "is empty", "NOT_NULL": "is set"}[depends.condition]


def _events(plugin: Plugin) -> Iterator[str]:
    yield "| event | |"
    yield "|---|---|"
    for event in plugin.events:
        yield f"| `{event.name}` | {event.help} |"


def _config(plugin: Plugin) -> Iterator[str]:
    yield "| key | type | attribute | |"
    yield "|---|---|---|---|"
    for key in plugin.config:
        yield f"| `{key.key}` | {key.type} | {key.origin} | {key.meaning} |"
