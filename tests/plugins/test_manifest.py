"""A mistake in a source is said with file and place."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.plugins.manifest import ManifestError, read_plugin

GOOD = """
name = "X"
type = "PROCESS TYPE"
display_name = "X"
export = "x.sql"
execution = "P.E"
"""
ATTRIBUTE = '[[attributes]]\nsequence = 1\nprompt = "A"\ntype = "TEXT"\nhelp = "h"\nexamples = "e"\n'


def source(folder: Path, toml: str) -> Path:
    (folder / "plugin.toml").write_text(toml, encoding="utf-8")
    (folder / "help.md").write_text("Help.", encoding="utf-8")
    return folder


def test_a_small_source_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_bytes(b"1")
    plugin = read_plugin(source(tmp_path, GOOD + 'files = ["a.js"]\n' + ATTRIBUTE), client=tmp_path)

    assert (plugin.name, plugin.help, plugin.files) == ("X", "Help.", {"a.js": b"1"})
    assert [(one.scope, one.sequence, one.required) for one in plugin.attributes] == [("COMPONENT", 1, False)]


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("name = ", "plugin.toml: Invalid value"),
        (GOOD.replace('export = "x.sql"', ""), "export"),
        (GOOD + "colour = 1\n", "colour"),
        (GOOD + 'files = ["nothing.js"]\n', "nothing.js"),
        (GOOD + ATTRIBUTE.replace('help = "h"\n', ""), "attribute A: .*help"),
        (GOOD + ATTRIBUTE + "size = 1\n", "attribute A: .*size"),
        (GOOD + ATTRIBUTE + '[[attributes.values]]\ndisplay = "D"\n', "value"),
        (GOOD + '[config]\nurl = { type = "string" }\n', "from"),
    ],
)
def test_a_mistake_is_named(toml: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=message):
        read_plugin(source(tmp_path, toml), client=tmp_path)


def test_a_missing_help_is_named(tmp_path: Path) -> None:
    folder = source(tmp_path, GOOD)
    (folder / "help.md").unlink()

    with pytest.raises(ManifestError, match=r"help\.md"):
        read_plugin(folder, client=tmp_path)
