"""A mistake in a source is said with file and place."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.plugins.manifest import ManifestError, read_plugin
from tools.plugins.minify import head_of

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


SCRIPTS = '[[scripts]]\nname = "ab"\nsources = ["a.js", "b.js"]\n'


def test_a_small_source_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_bytes(b"1;")
    (tmp_path / "b.js").write_bytes(b"2;")
    (tmp_path / "ab.min.js").write_bytes(head_of(b"1;2;") + b"12")
    plugin = read_plugin(source(tmp_path, GOOD + ATTRIBUTE + SCRIPTS), client=tmp_path, minified=tmp_path)

    assert (plugin.name, plugin.help) == ("X", "Help.")
    assert plugin.files == {"ab.js": b"1;2;", "ab.min.js": head_of(b"1;2;") + b"12"}
    assert plugin.urls == ["#PLUGIN_FILES#ab#MIN#.js"]
    assert [(one.scope, one.sequence, one.required) for one in plugin.attributes] == [("COMPONENT", 1, False)]


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("name = ", "plugin.toml: Invalid value"),
        (GOOD.replace('export = "x.sql"', ""), "export"),
        (GOOD + "colour = 1\n", "colour"),
        (GOOD + '[[scripts]]\nname = "x"\nsources = ["nothing.js"]\n', "nothing.js"),
        (GOOD + '[[scripts]]\nname = "x"\nsources = []\nasync = true\n', "async"),
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


@pytest.mark.parametrize("small", [None, b"", b"12", head_of(b"1") + b"12"])
def test_a_small_file_of_other_sources_is_refused(small: bytes | None, tmp_path: Path) -> None:
    """Else pages would run something else than what was read, tested and embedded beside it."""
    for name, content in (("a.js", b"1;"), ("b.js", b"2;"), ("ab.min.js", small)):
        if content is not None:
            (tmp_path / name).write_bytes(content)

    with pytest.raises(ManifestError, match=r"ab\.min\.js is not made of these sources"):
        read_plugin(source(tmp_path, GOOD + SCRIPTS), client=tmp_path, minified=tmp_path)
