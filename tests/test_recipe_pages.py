"""docs/recipes and docs/apex.md: every page is listed, and every link and picture leads somewhere."""

from __future__ import annotations

import re
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
