"""The generator: the same bytes every time, ids for ever, and what is committed is what it makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tools.plugins.export import attribute_id, export_text
from tools.plugins.identity import files_version, stable_id
from tools.plugins.manifest import EXPORTS, Plugin, read_plugins
from tools.plugins.model import read_export

from apex_rtm import __version__
from tests.plugins.sample import ACTION, LISTENER, PROCESS, committed


@pytest.fixture(scope="module")
def plugins() -> list[Plugin]:
    return read_plugins()


def test_the_sources_make_exactly_the_three_files(plugins: list[Plugin]) -> None:
    assert sorted(plugin.export for plugin in plugins) == [ACTION, LISTENER, PROCESS]
    assert sorted(path.name for path in EXPORTS.glob("*.sql")) == [ACTION, LISTENER, PROCESS]


def test_the_committed_files_are_what_the_sources_make(plugins: list[Plugin]) -> None:
    for plugin in plugins:
        assert committed(plugin.export) == export_text(plugin, __version__), "run python -m tools.plugins build"


def test_two_builds_are_the_same() -> None:
    first, second = read_plugins(), read_plugins()

    assert [export_text(one, "1") for one in first] == [export_text(one, "1") for one in second]


def test_ids_are_these_for_ever(plugins: list[Plugin]) -> None:
    """Another id is another component: pages would lose their plug-in with the next import."""
    assert {plugin.name: stable_id(plugin.name, "plugin") for plugin in plugins} == {
        "RTM_LISTENER_DA": 7943556751845019790,
        "RTM_BROADCAST_DA": 3130995500155390541,
        "RTM_BROADCAST_PROCESS": 8226557639848289659,
    }
    listener = next(plugin for plugin in plugins if plugin.name == "RTM_LISTENER_DA")
    assert attribute_id(listener, "APPLICATION", 1) == 2848135319705087985
    assert attribute_id(listener, "COMPONENT", 1) != attribute_id(listener, "APPLICATION", 1)


def test_ids_do_not_depend_on_texts(plugins: list[Plugin]) -> None:
    plugin = next(plugin for plugin in plugins if plugin.export == PROCESS)
    renamed = replace(plugin, help="Other", attributes=tuple(replace(one, prompt="Other") for one in plugin.attributes))

    def ids(text: str) -> list[str]:
        return [line for line in text.split("\n") if "_id=>" in line]

    assert ids(export_text(renamed, "2")) == ids(export_text(plugin, "1"))


def test_the_parts_of_an_id_cannot_run_together() -> None:
    assert stable_id("A", "B1", 2) != stable_id("A", "B", 12)


def test_other_file_contents_have_another_address() -> None:
    version = files_version({"a.js": b"1", "b.js": b"2"})

    assert version == files_version({"b.js": b"2", "a.js": b"1"})
    assert version != files_version({"a.js": b"12", "b.js": b""})
    assert version != files_version({"a.js": b"1", "b.js": b"3"})
    assert 1 <= version < 10**9


def test_attribute_numbers_mean_the_same_in_both_broadcast_plugins(plugins: list[Plugin]) -> None:
    """And the same as in the plug-ins that pages may have had before: pages keep their values by number."""
    by_name = {plugin.name: plugin for plugin in plugins}

    def prompts(name: str) -> list[str]:
        ordered = sorted(by_name[name].attributes, key=lambda attribute: attribute.sequence)
        return [attribute.prompt for attribute in ordered if attribute.sequence <= 7]

    expected = ["API Key", "Base URL", "Channel", "Event Name", "Payload Item", "On Error", "Delivery"]
    assert prompts("RTM_BROADCAST_DA") == expected
    assert prompts("RTM_BROADCAST_PROCESS") == expected


def test_the_common_case_needs_one_attribute(plugins: list[Plugin]) -> None:
    for plugin in plugins:
        must_fill = [one.prompt for one in plugin.attributes if one.required and one.default is None]
        assert must_fill in ([], ["Channel"])


def test_plugin_events_are_declared() -> None:
    export = read_export(EXPORTS / LISTENER)
    names = {export.text(event, "p_name") for event in export.events}

    assert names == {"rtm-message", "rtm-connected", "rtm-disconnected", "rtm-gap", "rtm-error", "rtm-presence"}


def test_display_names_survive_the_way_through_ascii() -> None:
    for name in (ACTION, LISTENER, PROCESS):
        export = read_export(EXPORTS / name)
        assert export.text(export.plugins[0], "p_display_name").startswith("Real-Time Messaging \u2013 ")


def test_no_file_speaks_of_the_machine_that_made_it() -> None:
    for name in (ACTION, LISTENER, PROCESS):
        text = committed(name)
        assert str(Path.home()) not in text
        assert "Exported By" not in text
        assert "Date and Time" not in text
