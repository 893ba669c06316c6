"""docs/apex.md says what the plug-ins are, and what nobody has tried yet."""

from __future__ import annotations

from tools.plugins.__main__ import DOCUMENT
from tools.plugins.manifest import EXPORTS, read_plugins
from tools.plugins.tables import with_tables

TEXT = DOCUMENT.read_text(encoding="utf-8")


def test_the_lists_are_those_of_the_sources() -> None:
    assert with_tables(TEXT, read_plugins()) == TEXT


def test_every_attribute_event_and_setting_is_explained() -> None:
    for plugin in read_plugins():
        assert plugin.display_name in TEXT
        for attribute in plugin.attributes:
            assert f"**{attribute.prompt}**" in TEXT
            assert attribute.help.strip() in TEXT
        for name in [*(event.name for event in plugin.events), *(key.key for key in plugin.config)]:
            assert f"| `{name}` |" in TEXT


def test_it_names_the_files_and_says_that_none_has_run() -> None:
    assert "No import file has been imported into an APEX instance yet" in TEXT
    assert "`RTM_PLUGIN` has not been compiled on Oracle" in TEXT
    assert "dynamic_action_plugin_rtm_listener_da.sql" in TEXT
    assert EXPORTS.name in TEXT


def test_every_symptom_has_its_place() -> None:
    for symptom in ("Nothing arrives", "It arrives twice", "403", "Mixed content", "Content Security Policy"):
        assert any(symptom in line for line in TEXT.splitlines() if line.startswith("### ")), symptom
