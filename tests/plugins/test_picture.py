"""The picture of the property editor: what is shown, what is typed in, and nothing that the plug-in does not have."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tools.plugins.manifest import Plugin, read_plugins
from tools.plugins.picture import HELLO, property_editor, shown

from tests.support.apex.plugin import imported_plugins

PLUGINS = {plugin.folder: plugin for plugin in read_plugins()}


def texts(plugin: Plugin, settings: dict[str, str] | None = None) -> list[str]:
    root = ET.fromstring(property_editor(plugin, settings))
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_listener_of_the_example_shows_what_page_designer_would() -> None:
    found = texts(PLUGINS["listener"])
    assert found[:4] == ["Identification", "Action", PLUGINS["listener"].display_name, "Settings"]
    pairs = dict(zip(found[4::2], found[5::2], strict=False))
    assert pairs["Channel"] == "test"
    assert pairs["Event Name"] == "ping"
    assert pairs["Action"] == "Set item"
    assert "Regions" not in found, "is shown only where regions are refreshed"


def test_a_choice_shows_what_depends_on_it() -> None:
    listener = PLUGINS["listener"]
    assert {"Regions", "Refresh Spread"} <= set(shown(listener, {"Action": "REFRESH"}))
    assert "Notification" not in shown(listener, {"Action": "REFRESH"})
    assert shown(listener, {"Action": "SEVERAL"})["Several Actions"] == "Set item, Refresh regions"
    assert shown(listener, {"Action": "REFRESH"})["Refresh Interval"] == "1000 ms"


@pytest.mark.parametrize("folder", PLUGINS)
def test_it_agrees_with_the_import_file(folder: str) -> None:
    """Two readers of the dependencies, one of the source and one of what APEX imports."""
    plugin = PLUGINS[folder]
    imported = imported_plugins()[plugin.display_name]
    typed = {prompt: value for prompt, value in HELLO.items() if prompt in shown(plugin, {})}
    stored = imported.values(typed if plugin.type != "DYNAMIC ACTION" or "Channel" in typed else {})
    by_field = {
        attribute.field: attribute.prompt for attribute in imported.attributes if attribute.scope == "COMPONENT"
    }
    assert {by_field[name] for name in stored} == set(shown(plugin, typed))


def test_what_is_typed_in_is_text_and_marked(tmp_path: Path) -> None:
    svg = property_editor(PLUGINS["broadcast_da"], {"Channel": '<b onload="x">&'})
    (tmp_path / "picture.svg").write_text(svg, encoding="utf-8")
    assert "<b " not in svg
    assert svg.count("box set") == 1
