"""The tests are where one looks for them, and the check that says so finds what it looks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools import check_mirror
from tools.check_mirror import MAX_SOURCE_LINES, MAX_TEST_LINES, ROOT, expected_test, problems


def test_every_module_has_its_tests_and_every_file_its_budget() -> None:
    assert problems(ROOT) == []


@pytest.mark.parametrize(
    ("module", "test"),
    [
        ("hub.py", "test_hub.py"), ("edge/ws.py", "edge/test_ws.py"), ("engine/journal.py", "engine/test_journal.py"),
        ("engine/base.py", "engine/test_contract.py"), ("demo/__init__.py", "test_demo.py"),
    ],
)  # fmt: skip
def test_a_module_and_its_tests_mirror_each_other(module: str, test: str) -> None:
    assert expected_test(Path(module)) == Path(test)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project in which everything is in its place."""
    monkeypatch.setattr(check_mirror, "SCENARIOS", {"test_story.py"})
    for name in ("src/apex_rtm/hub.py", "src/apex_rtm/edge/ws.py", "src/apex_rtm/relay/pace.py", "tests/test_hub.py",
                 "tests/edge/test_ws.py", "tests/relay/test_storm.py", "tests/test_story.py"):  # fmt: skip
        write(tmp_path / name, 10)
    write(tmp_path / "src/apex_rtm/edge/__init__.py", 1)
    assert problems(tmp_path) == []
    return tmp_path


def write(path: Path, lines: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#\n" * lines)


def test_a_module_without_tests_is_found(tree: Path) -> None:
    (tree / "tests/edge/test_ws.py").unlink()
    (tree / "tests/relay/test_storm.py").unlink()
    write(tree / "src/apex_rtm/edge/__init__.py", 2)

    assert problems(tree) == [
        "src/apex_rtm/edge/__init__.py: its tests belong in tests/edge/test___init__.py, which is not there",
        "src/apex_rtm/edge/ws.py: its tests belong in tests/edge/test_ws.py, which is not there",
        "src/apex_rtm/relay: its tests belong in tests/relay/, where there are none",
    ]


def test_tests_without_their_module_are_found(tree: Path) -> None:
    (tree / "src/apex_rtm/hub.py").rename(tree / "src/apex_rtm/centre.py")
    (tree / "tests/test_story.py").unlink()

    assert problems(tree) == [
        "src/apex_rtm/centre.py: its tests belong in tests/test_centre.py, which is not there",
        "tests/test_hub.py: there is no module of this name; move it to a folder of scenarios",
        "tests/test_story.py: tools/check_mirror.py knows this scenario, but it is not there",
    ]


def test_tests_in_a_folder_of_scenarios_need_no_module(tree: Path) -> None:
    write(tree / "tests/hardening/test_floods.py", 10)

    assert problems(tree) == []


def test_files_over_their_budget_are_found(tree: Path) -> None:
    write(tree / "src/apex_rtm/hub.py", MAX_SOURCE_LINES + 1)
    write(tree / "tests/test_hub.py", MAX_TEST_LINES + 1)
    write(tree / "tests/edge/test_ws.py", MAX_TEST_LINES)

    assert problems(tree) == [
        "src/apex_rtm/hub.py: 401 lines, at most 400 are allowed",
        "tests/test_hub.py: 601 lines, at most 600 are allowed",
    ]


def test_the_command_ends_with_1_where_there_is_something(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_mirror, "ROOT", tree)
    assert check_mirror.main() == 0

    (tree / "tests/test_hub.py").unlink()

    assert check_mirror.main() == 1
    assert "tests/test_hub.py" in capsys.readouterr().out
