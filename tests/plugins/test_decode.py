"""What the import files embed is what was tested, byte for byte, and small enough for every page."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tools.plugins.__main__ import main
from tools.plugins.manifest import CLIENT, EXPORTS, MINIFIED, SOURCES, Plugin, read_plugins, sources_of
from tools.plugins.model import embedded_files

from tests.plugins.sample import ACTION, LISTENER, PROCESS, broken, committed

MAX_GZIPPED_BYTES = 10 * 1024


@pytest.mark.parametrize("plugin", read_plugins(), ids=lambda plugin: plugin.name)
def test_embedded_files_equal_the_client(plugin: Plugin) -> None:
    decoded = embedded_files(EXPORTS / plugin.export)

    readable = sources_of(SOURCES, CLIENT)
    assert set(decoded) == {f"{script.name}{suffix}.js" for script in plugin.scripts for suffix in ("", ".min")}
    for script in plugin.scripts:
        assert decoded[f"{script.name}.js"] == readable[script.name]
        assert decoded[f"{script.name}.min.js"] == (MINIFIED / f"{script.name}.min.js").read_bytes()


def test_every_source_of_the_client_is_in_one_file_once() -> None:
    text = b"".join(sources_of(SOURCES, CLIENT).values())

    for path in CLIENT.glob("*.js"):
        assert text.count(path.read_bytes()) == 1, path.name


def test_the_listener_has_the_connection_and_its_glue_and_the_action_only_its_own() -> None:
    names = ["rtm_listener.js", "rtm_listener.min.js", "rtm_panel.js", "rtm_panel.min.js"]
    assert list(embedded_files(EXPORTS / LISTENER)) == names
    assert list(embedded_files(EXPORTS / ACTION)) == ["rtm_broadcast.js", "rtm_broadcast.min.js"]
    assert embedded_files(EXPORTS / PROCESS) == {}


def test_what_a_page_loads_for_a_listener_is_small() -> None:
    (plugin,) = (plugin for plugin in read_plugins() if plugin.export == LISTENER)
    names = [url.removeprefix("#PLUGIN_FILES#").replace("#MIN#", ".min") for url in plugin.urls]
    sizes = {name: len(gzip.compress(embedded_files(EXPORTS / LISTENER)[name], 9, mtime=0)) for name in names}
    print(sizes)

    assert list(sizes) == ["rtm_listener.min.js"]
    assert sum(sizes.values()) <= MAX_GZIPPED_BYTES


def test_one_changed_digit_is_another_file(tmp_path: Path) -> None:
    line = next(line for line in committed(ACTION).split("\n") if line.startswith("wwv_flow_imp.g_varchar2_table(3)"))
    digit = line[-3]
    path = broken(tmp_path, ACTION, line, f"{line[:-3]}{'1' if digit == '0' else '0'}';")

    assert embedded_files(path) != embedded_files(EXPORTS / ACTION)


def test_the_command_writes_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", str(EXPORTS / ACTION), str(tmp_path / "out")]) == 0

    assert (tmp_path / "out" / "rtm_broadcast.js").read_bytes() == (CLIENT / "broadcast_da.js").read_bytes()
    assert "rtm_broadcast.min.js" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../../evil.js", "/evil.js", "js/../../evil.js"])
def test_a_name_that_would_leave_the_folder_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = broken(tmp_path, ACTION, "p_file_name=>'rtm_broadcast.js'", f"p_file_name=>'{name}'")

    assert main(["decode", str(path), str(tmp_path / "out")]) == 2

    assert "is no name for a file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_broken_hex_is_refused_with_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = broken(tmp_path, ACTION, ":= '2F2A", ":= 'XX2A")

    assert main(["decode", str(path), str(tmp_path / "out")]) == 2
    assert "hexadecimal" in capsys.readouterr().err
