"""``python -m tools.plugins``: what it writes, what it refuses, how it exits."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tools.plugins import __main__ as command
from tools.plugins.manifest import EXPORTS
from tools.plugins.tables import with_tables

from tests.plugins.sample import LISTENER, PROCESS, broken


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what ``build`` writes, in the place of the real one."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "apex-plugins").mkdir()
    for path in EXPORTS.glob("*.sql"):
        shutil.copy(path, tmp_path / "apex-plugins")
    shutil.copy(command.DOCUMENT, tmp_path / "docs")
    shutil.copytree(command.PICTURES, tmp_path / "images")
    monkeypatch.setattr(command, "PICTURES", tmp_path / "images")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "EXPORTS", tmp_path / "apex-plugins")
    monkeypatch.setattr(command, "DOCUMENT", tmp_path / "docs" / "apex.md")
    return tmp_path


def test_the_repository_is_up_to_date() -> None:
    assert command.main(["build", "--check"]) == 0


def test_check_says_what_is_stale_and_writes_nothing(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = checkout / "apex-plugins" / PROCESS
    stale = path.read_text(encoding="utf-8").replace("'Channel'", "'Chanel'")
    path.write_text(stale, encoding="utf-8")

    assert command.main(["build", "--check"]) == 1

    assert f"apex-plugins/{PROCESS} is stale" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == stale


def test_build_mends_what_is_stale(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "apex-plugins" / PROCESS).unlink()
    shutil.rmtree(checkout / "images")
    document = checkout / "docs" / "apex.md"
    document.write_text(document.read_text(encoding="utf-8").replace("**Payload Item**", "**Item**"), encoding="utf-8")

    assert command.main(["build"]) == 0
    written = capsys.readouterr().out.splitlines()

    pictures = [f"written: images/{name}.svg" for name in ("broadcast-da", "broadcast-process", "listener")]
    assert written == [f"written: apex-plugins/{PROCESS}", "written: docs/apex.md", *pictures]
    assert command.main(["build", "--check"]) == 0


def test_a_file_that_no_source_makes_is_refused(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(checkout / "apex-plugins" / PROCESS, checkout / "apex-plugins" / "process_type_plugin_old.sql")

    assert command.main(["build", "--check"]) == 1
    assert "process_type_plugin_old.sql: no source makes this file" in capsys.readouterr().err


def test_lint_prints_findings_and_exits_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = broken(tmp_path, LISTENER, "'rtm-gap'", "'RTM-gap'")

    assert command.main(["lint", str(path)]) == 1
    assert capsys.readouterr().out.endswith("1 file(s), 1 finding(s)\n")


def test_lint_of_the_repository_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["lint"]) == 0
    assert capsys.readouterr().out == "3 file(s), 0 finding(s)\n"


def test_a_file_that_is_not_there_is_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["lint", str(tmp_path / "none.sql")]) == 2
    assert "none.sql" in capsys.readouterr().err


def test_a_table_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        with_tables("<!-- generated: nobody attributes -->\n<!-- end -->", [])
