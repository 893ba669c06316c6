"""What the import files embed is what was tested, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.plugins.__main__ import main
from tools.plugins.manifest import CLIENT, EXPORTS, Plugin, read_plugins
from tools.plugins.model import embedded_files

from tests.plugins.sample import ACTION, LISTENER, PROCESS, broken, committed


@pytest.mark.parametrize("plugin", read_plugins(), ids=lambda plugin: plugin.name)
def test_embedded_files_equal_the_client(plugin: Plugin) -> None:
    decoded = embedded_files(EXPORTS / plugin.export)

    assert decoded == {name: (CLIENT / name).read_bytes() for name in plugin.files}


def test_the_listener_has_the_connection_and_its_glue_and_the_action_only_its_own() -> None:
    assert list(embedded_files(EXPORTS / LISTENER)) == ["subscriptions.js", "rtm.js", "actions.js", "listener.js"]
    assert list(embedded_files(EXPORTS / ACTION)) == ["broadcast_da.js"]
    assert embedded_files(EXPORTS / PROCESS) == {}


def test_one_changed_digit_is_another_file(tmp_path: Path) -> None:
    line = next(line for line in committed(ACTION).split("\n") if line.startswith("wwv_flow_imp.g_varchar2_table(3)"))
    digit = line[-3]
    path = broken(tmp_path, ACTION, line, f"{line[:-3]}{'1' if digit == '0' else '0'}';")

    assert embedded_files(path) != embedded_files(EXPORTS / ACTION)


def test_the_command_writes_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", str(EXPORTS / ACTION), str(tmp_path / "out")]) == 0

    assert (tmp_path / "out" / "broadcast_da.js").read_bytes() == (CLIENT / "broadcast_da.js").read_bytes()
    assert "broadcast_da.js" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../../evil.js", "/evil.js", "js/../../evil.js"])
def test_a_name_that_would_leave_the_folder_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = broken(tmp_path, ACTION, "p_file_name=>'broadcast_da.js'", f"p_file_name=>'{name}'")

    assert main(["decode", str(path), str(tmp_path / "out")]) == 2

    assert "is no name for a file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_broken_hex_is_refused_with_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = broken(tmp_path, ACTION, ":= '2F2A", ":= 'XX2A")

    assert main(["decode", str(path), str(tmp_path / "out")]) == 2
    assert "hexadecimal" in capsys.readouterr().err
