"""Page Designer's property editor as a picture: what a developer sees of a plug-in's attributes, drawn from its source.

Not a screenshot: APEX draws it a little differently. But labels, order, defaults, and what is shown when, are those of
the plug-in, and `build --check` keeps them so.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from tools.plugins.manifest import Attribute, Dependency, Plugin

WIDTH = 500
_ROW, _HEAD, _LABEL = 34, 38, 160

# What the example of docs/apex.md types in; everything else is as the plug-in proposes it.
HELLO = {"Channel": "test", "Event Name": "ping", "Payload Item": "P10_MESSAGE"}

_STYLE = """
svg { font: 13px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
.ground { fill: #f4f6f9; } .head { fill: #e3e8ef; } .box { fill: #ffffff; stroke: #c3cbd8; }
.set { stroke: #1f6feb; stroke-width: 2; }
text { fill: #1c2330; } .label { fill: #4a5568; } .title { font-weight: 600; } .knob { fill: #ffffff; }
.on { fill: #1f6feb; } .off { fill: #9aa5b5; }
@media (prefers-color-scheme: dark) {
.ground { fill: #1d2430; } .head { fill: #2a3342; } .box { fill: #141922; stroke: #3d4859; } .set { stroke: #6aa4ff; }
text { fill: #e6ebf3; } .label { fill: #a7b2c4; } .on { fill: #4c8dff; } .off { fill: #566174; } }
"""


def shown(plugin: Plugin, settings: dict[str, str]) -> dict[str, str]:
    """The prompts of the attributes that a component shows, with what stands in them (as displayed)."""
    own = [attribute for attribute in plugin.attributes if attribute.scope == "COMPONENT"]
    values: dict[int, str] = {}
    for attribute in sorted(own, key=lambda item: item.depends is not None):
        if _is_shown(attribute.depends, values):
            values[attribute.sequence] = settings.get(attribute.prompt, attribute.default or "")
    return {item.prompt: _display(item, values[item.sequence]) for item in own if item.sequence in values}


def _is_shown(depends: Dependency | None, values: dict[int, str]) -> bool:
    if depends is None:
        return True
    if depends.on not in values:
        return False
    value, wanted = values[depends.on], (depends.value or "").split(",")
    if depends.condition in ("NULL", "NOT_NULL"):
        return (value == "") == (depends.condition == "NULL")
    return (value in wanted) != depends.condition.startswith("NOT")


def _display(attribute: Attribute, value: str) -> str:
    if attribute.type == "CHECKBOX":
        return "On" if value == "Y" else "Off"
    displays = {choice.value: choice.display for choice in attribute.values}
    unit = f" {attribute.unit}" if attribute.unit and value else ""
    return ", ".join(displays.get(part, part) for part in value.split(":")) + unit if displays else value + unit


def property_editor(plugin: Plugin, settings: dict[str, str] | None = None) -> str:
    """An SVG of the settings of a component with this plug-in; what ``settings`` names is marked as typed in."""
    typed = {prompt: value for prompt, value in (settings or HELLO).items() if prompt in shown(plugin, {})}
    rows = shown(plugin, typed)
    kinds = {attribute.prompt: attribute.type for attribute in plugin.attributes if attribute.scope == "COMPONENT"}
    identification = "Action" if plugin.type == "DYNAMIC ACTION" else "Type"
    height = 2 * _HEAD + (len(rows) + 1) * _ROW + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="Settings of {escape(plugin.display_name)}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="6"/>',
        *_group(0, "Identification"),
        *_field(_HEAD, identification, plugin.display_name, is_list=True),
        *_group(_HEAD + _ROW + 4, "Settings"),
    ]
    at = 2 * _HEAD + _ROW + 8
    for number, (prompt, value) in enumerate(rows.items()):
        top = at + number * _ROW
        if kinds[prompt] == "CHECKBOX":
            parts += _switch(top, prompt, is_on=value == "On")
        else:
            is_list = kinds[prompt] == "SELECT LIST"
            parts += _field(top, prompt, value, is_list=is_list, is_typed=prompt in typed)
    return "\n".join([*parts, "</svg>", ""])


def _group(top: int, title: str) -> Iterator[str]:
    yield f'<rect class="head" y="{top}" width="{WIDTH}" height="30"/>'
    yield f'<text class="title" x="12" y="{top + 20}">{escape(title)}</text>'


def _field(top: int, label: str, value: str, *, is_list: bool = False, is_typed: bool = False) -> Iterator[str]:
    yield f'<text class="label" x="12" y="{top + 20}">{escape(label)}</text>'
    marked = " set" if is_typed else ""
    yield f'<rect class="box{marked}" x="{_LABEL}" y="{top + 3}" width="{WIDTH - _LABEL - 12}" height="26" rx="3"/>'
    yield f'<text x="{_LABEL + 8}" y="{top + 20}">{escape(value)}</text>'
    if is_list:
        right = WIDTH - 28
        yield f'<path class="off" d="M{right} {top + 13} h9 l-4.5 6 z"/>'


def _switch(top: int, label: str, *, is_on: bool) -> Iterator[str]:
    yield f'<text class="label" x="12" y="{top + 20}">{escape(label)}</text>'
    yield f'<rect class="{"on" if is_on else "off"}" x="{_LABEL}" y="{top + 7}" width="36" height="18" rx="9"/>'
    yield f'<circle class="knob" cx="{_LABEL + (27 if is_on else 9)}" cy="{top + 16}" r="7"/>'
