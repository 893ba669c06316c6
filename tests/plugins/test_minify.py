"""The small files: made by terser, and known by their first line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.plugins.manifest import CLIENT, MINIFIED, SOURCES, sources_of
from tools.plugins.minify import head_of, is_current, minify


@pytest.mark.parametrize("name", ["rtm_listener", "rtm_panel", "rtm_broadcast"])
def test_the_committed_files_say_what_they_are_made_of(name: str) -> None:
    readable = sources_of(SOURCES, CLIENT)[name]

    assert is_current(MINIFIED / f"{name}.min.js", readable)
    assert not is_current(MINIFIED / f"{name}.min.js", readable + b" ")
    assert not is_current(MINIFIED / f"{name}.js", readable)


@pytest.mark.slow  # needs Node.js
def test_terser_makes_them_the_same_each_time(tmp_path: Path) -> None:
    readable = (
        b"(function () { const aLongName = 'it\\'s'; self.x = `${aLongName} /* no comment */`; })(); // a comment\n"
    )

    small = minify(readable)

    assert small == minify(readable)
    assert small.startswith(head_of(readable))
    assert b"/* no comment */" in small
    assert b"// a comment" not in small
    (tmp_path / "x.min.js").write_bytes(small)
    assert is_current(tmp_path / "x.min.js", readable)


@pytest.mark.slow  # needs Node.js
def test_what_is_no_javascript_is_said() -> None:
    with pytest.raises(ValueError, match=r"minify\.mjs: "):
        minify(b"function (")
