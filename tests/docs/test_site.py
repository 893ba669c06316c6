"""The documentation as a site: every page has its place, no link is broken, nothing is fetched from elsewhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tools import cli_page, docs_site, settings_page
from tools.docs_site import DOCS, ROOT


def _pages(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    else:
        for inner in part.values() if isinstance(part, Mapping) else part:
            yield from _pages(inner)


def test_every_page_has_one_place_in_one_of_four_parts() -> None:
    found = docs_site.navigation()
    assert [next(iter(part)) for part in found] == ["Start", "Tutorial", "How-to", "Reference", "Explanation"]
    placed = list(_pages(found))
    assert len(placed) == len(set(placed))
    assert set(placed) == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}


def test_a_page_that_nobody_has_placed_is_found_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "adr").mkdir()
    for name in ("index.md", "new.md", "settings.md", "adr/0001.md", "adr/index.md"):
        (tmp_path / name).write_text("# A page\n")
    assert docs_site.navigation(tmp_path) == [
        {"Start": "index.md"},
        {"How-to": ["new.md"]},
        {"Reference": ["settings.md"]},
        {"Explanation": [{"Decisions": ["adr/index.md", "adr/0001.md"]}]},
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see [the file](../deploy/apex-rtm.service).", "see the file (`deploy/apex-rtm.service`)."),
        ("see [`deploy/apex-rtm.service`](../deploy/apex-rtm.service)", "see `deploy/apex-rtm.service`"),
        ("see [README](../README.md#start)", "see README (`README.md`)"),
        ("see [relay](relay.md)", "see [relay](relay.md)"),
        ("see [gone](../gone.md)", "see [gone](../gone.md)"),
        ("see [far](../../elsewhere)", "see [far](../../elsewhere)"),
        ("see [it](https://example.com)", "see [it](https://example.com)"),
    ],
)
def test_a_link_out_of_the_site_becomes_a_name(text: str, shown: str) -> None:
    assert docs_site.without_links_out(text, DOCS / "page.md") == shown


def test_the_pages_made_from_the_code_are_up_to_date() -> None:
    assert cli_page.PAGE.read_text(encoding="utf-8") == cli_page.page(), "python -m tools.cli_page"
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.page(), "python -m tools.settings_page"


def test_the_page_of_the_commands_has_them_all() -> None:
    text = cli_page.page()
    headings = re.findall(r"^#+ (apex-rtm.*)$", text, re.MULTILINE)
    assert {"apex-rtm serve", "apex-rtm deploy nginx", "apex-rtm token mint", "apex-rtm db install"} <= set(headings)
    assert "`--stdout`" in text
    assert "\b" not in text


def test_links_in_the_readme_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text)
        assert [target for target in targets if not (ROOT / target).exists()] == [], name


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, in strict mode."""
    work = tmp_path_factory.mktemp("docs") / "work"
    assert docs_site.build(work=work) == 0
    return work / "site"


@pytest.mark.slow
def test_the_site_is_built_with_every_page(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert {path.relative_to(site) for path in site.rglob("*.html")} >= pages


@pytest.mark.slow
def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    """It is read in networks without internet, and nobody shall learn who reads it."""
    for page in site.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=[\"']?([^\"'> ]+)", html)
        loaded += re.findall(
            r"<link[^>]*rel=[\"']?(?:stylesheet|preload|icon|preconnect)[^>]*href=[\"']?([^\"'> ]+)", html
        )
        assert loaded
        assert [address for address in loaded if re.match(r"(https?:)?//", address)] == [], page.name


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["[gone](gone.md)", "[gone](settings.md#no-such-heading)"])
def test_a_broken_link_fails_the_build(fault: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copy(DOCS / "settings.md", docs)
    (docs / "index.md").write_text("# Start\n\n[settings](settings.md)\n")
    (docs / "relay.md").write_text("# Relay\n")
    (docs / "cli.md").write_text("# Commands\n")
    assert docs_site.build(docs, tmp_path / "good") == 0
    (docs / "index.md").write_text(f"# Start\n\n{fault}\n")
    assert docs_site.build(docs, tmp_path / "bad") != 0
    assert "1 issue found" in capfd.readouterr().err
