"""docs/recipes and docs/apex.md: every page is listed, and every link and picture leads somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
RECIPES = sorted(path for path in (DOCS / "recipes").glob("*.md") if path.stem != "index")
PAGES = [*RECIPES, DOCS / "recipes" / "index.md", DOCS / "apex.md"]


def anchors(path: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them of its headings."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", text) + re.findall(r'<img src="([^"]+)"', text)
    assert links
    for link in links:
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


def test_every_recipe_is_listed_and_has_what_readers_look_for() -> None:
    index = (DOCS / "recipes" / "index.md").read_text(encoding="utf-8")
    assert len(RECIPES) == 6
    for page in RECIPES:
        text = page.read_text(encoding="utf-8")
        assert f"]({page.name})" in index, page.name
        assert "](../images/recipe-" in text, page.name
        assert {"security", "when-it-does-not-work"} <= anchors(page), page.name


def test_each_event_is_named_as_page_designer_lists_it() -> None:
    """The list shows display names, and JavaScript and the table of apex.md the names that are fired."""
    source = DOCS.parent / "apex-plugins" / "src" / "listener" / "plugin.toml"
    events = tomllib.loads(source.read_text(encoding="utf-8"))["events"]
    text = " ".join((DOCS / "apex.md").read_text(encoding="utf-8").split())
    assert events
    for event in events:
        assert re.search(rf"\*{event['display_name']}\* (is )?`{event['name']}`", text), event


def test_a_reader_finds_how_settings_are_named_in_page_designer() -> None:
    for page in (DOCS / "apex.md", DOCS / "recipes" / "index.md"):
        text = " ".join(page.read_text(encoding="utf-8").split())
        for word in ("*Identification \u203a Action*", "*Settings*", "*Execution*", "*Affected Elements*"):
            assert word in text, (page.name, word)
