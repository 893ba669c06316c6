"""What the conformance run makes of the suite's verdicts. (The run itself: `make conformance`, docs/conformance.md.)"""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.conformance.report import judge, render, says_the_same
from tools.conformance.suite import SECTIONS, Missing, find_python27

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "conformance.md"


def _cases(**verdicts: str) -> dict[str, dict[str, str]]:
    """One good case for each section, and others by name: `c7_1_5="FAILED/WRONG CODE"`."""
    cases = {f"{section}.1": {"behavior": "OK", "behaviorClose": "OK"} for section in SECTIONS}
    for name, verdict in verdicts.items():
        behavior, close = verdict.split("/")
        cases[name[1:].replace("_", ".")] = {"behavior": behavior, "behaviorClose": close}
    return cases


@pytest.mark.parametrize(
    ("verdict", "counted"),
    [
        ("OK/OK", "passed"),
        ("INFORMATIONAL/INFORMATIONAL", "passed"),
        ("NON-STRICT/OK", "non-strict"),
        ("FAILED/OK", "failed"),
        ("OK/WRONG CODE", "failed"),
        ("OK/FAILED BY CLIENT", "failed"),
        ("UNIMPLEMENTED/OK", "failed"),
        ("NON-STRICT/UNCLEAN", "failed"),
    ],
)
def test_a_case_has_passed_when_behaviour_and_close_are_right(verdict: str, counted: str) -> None:
    outcome = judge(_cases(c3_2=verdict))
    assert outcome.by_section["3"][counted] == (2 if counted == "passed" else 1)
    assert bool(outcome.unexpected) == (counted == "failed")


def test_only_the_documented_case_may_fail() -> None:
    assert judge(_cases(c7_1_5="OK/WRONG CODE")).unexpected == []
    assert judge(_cases(c7_1_5="OK/OK")).mended == ["7.1.5"]
    assert judge(_cases(c7_1_4="OK/WRONG CODE")).unexpected == ["7.1.4 OK, close WRONG CODE"]
    assert "* 7.1.4 OK, close WRONG CODE" in render(judge(_cases(c7_1_4="OK/WRONG CODE")))


def test_the_page_changes_with_the_findings_only() -> None:
    before = render(judge(_cases(c3_2="NON-STRICT/OK", c7_1_5="OK/WRONG CODE")))
    assert says_the_same(before, render(judge(_cases(c3_2="OK/OK", c7_1_5="OK/WRONG CODE"))))
    assert not says_the_same(before, render(judge(_cases(c3_2="FAILED/OK", c7_1_5="OK/WRONG CODE"))))
    assert not says_the_same(before, render(judge(_cases(c3_2="OK/OK", c7_1_5="OK/OK"))))


def test_the_published_page_is_one_that_the_tool_wrote() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert "* none but 7.1.5" in page
    assert "| 7 Closing | 36 | 0 | 1 |" in page


def test_a_machine_without_python_2_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PYTHON27", str(_program(tmp_path, "exit 127")))  # a version manager's empty promise
    with pytest.raises(Missing, match=r"needs Python 2\.7 and none was found"):
        find_python27()
    good = _program(tmp_path, "echo '(2, 7)'")
    monkeypatch.setenv("PYTHON27", str(good))
    assert find_python27() == good


def _program(directory: Path, script: str) -> Path:
    path = directory / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
