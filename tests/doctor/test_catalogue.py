"""Every check can fail, is shown to, and is explained."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from apex_rtm.doctor.catalogue import CHECKS

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs" / "doctor.md"


def breaking_tests() -> dict[str, list[str]]:
    """The tests that say `@breaks`, by the id of the check that finds something wrong in them."""
    found: dict[str, list[str]] = {}
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(f"tests.doctor.{path.stem}")
        for name, test in vars(module).items():
            for check_id in getattr(test, "breaks", ()):
                found.setdefault(check_id, []).append(f"{path.name}::{name}")
    return found


@pytest.mark.parametrize("check_id", [check.id for check in CHECKS])
def test_each_check_has_a_test_in_which_it_fails(check_id: str) -> None:
    assert breaking_tests().get(check_id), f"no test says @breaks({check_id!r})"


@pytest.mark.parametrize("check_id", [check.id for check in CHECKS])
def test_each_check_has_a_test_in_which_it_is_content(check_id: str) -> None:
    texts = [path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py")]
    assert any(re.search(rf'\bgood\(\s*"{re.escape(check_id)}"', text) for text in texts)


def test_each_check_has_a_section_of_the_page_and_the_page_has_no_other() -> None:
    sections = re.findall(r"^### `([\w.]+)`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sections == [check.id for check in CHECKS]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_each_section_says_what_mends_it(check: object) -> None:
    text = PAGE.read_text(encoding="utf-8")
    section = text.split(f"### `{check.id}`\n")[1].split("\n### ")[0].split("\n## ")[0]  # type: ignore[attr-defined]
    assert len(section.split()) >= 20
    assert "`" in section, "a line to copy"


def test_titles_are_what_should_be_so() -> None:
    for check in CHECKS:
        assert check.title[0].isupper()
        assert not check.title.endswith((".", "?"))
