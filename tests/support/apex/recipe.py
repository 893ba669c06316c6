"""A page of docs/recipes as what it describes: pages of an application, scripts, settings of the server.

The tests build exactly this, so that a recipe that does not work, or names what Page Designer does not have, fails.
The shape of a recipe:

    ## Database               sql blocks: scripts, as SQL*Plus runs them
    ## Server                 a toml block: settings of the server
    ## Component settings     tables of settings by the display names of the plug-ins
    ## Page 10: Title         ### Items, ### Buttons: one component a line
                              ### Region *Title*, ### Dynamic action *Name*, ### Process *Name*: tables of settings;
                              the code block behind is the source, query or code
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.support.apex.page import (
    JAVASCRIPT,
    REFRESH,
    SERVER_CODE,
    Action,
    Button,
    DynamicAction,
    Item,
    Page,
    Process,
    Region,
)

RECIPES = Path(__file__).parents[3] / "docs" / "recipes"
_CODE = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
_TRIGGERS = {
    "Custom Event": "custom_event",
    "Button": "button",
    "Item(s)": "items",
    "Region": "region",
    "JavaScript Expression": "javascript_expression",
}
Rows = list[list[str]]


@dataclass(slots=True)
class Section:
    """What stands below a heading, up to the next one."""

    level: int
    title: str
    text: str
    line: int

    @property
    def rows(self) -> Rows:
        """The cells of the table below its head; code marks and emphasis around a whole cell are taken off."""
        lines = [line for line in _CODE.sub("", self.text).splitlines() if line.startswith("|")]
        return [[_bare(cell) for cell in line.strip("|").split("|")] for line in lines[2:]]

    def code(self, language: str) -> list[str]:
        """Its code blocks of this language."""
        return [text.rstrip("\n") for kind, text in _CODE.findall(self.text) if kind == language]


def _bare(cell: str) -> str:
    found = re.fullmatch(r"`(.*)`|\*\*(.*)\*\*|\*(.*)\*", cell.strip())
    return next((part for part in found.groups() if part is not None), "") if found else cell.strip()


@dataclass(slots=True)
class Recipe:
    """One page of docs/recipes."""

    path: Path
    pages: dict[int, Page] = field(default_factory=dict)
    scripts: list[str] = field(default_factory=list)
    server: str = ""
    component_settings: dict[str, dict[str, str]] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The page as it is written."""
        return self.path.read_text(encoding="utf-8")

    def block(self, title: str, language: str = "sql") -> str:
        """The code block below a heading."""
        (section,) = (item for item in self.sections if item.title == title)
        (code,) = section.code(language)
        return code


def read_recipe(name: str) -> Recipe:
    """Read docs/recipes/<name>.md."""
    recipe = Recipe(RECIPES / f"{name}.md")
    recipe.sections = list(read_sections(recipe.text))
    chapter, page = "", Page(0)
    for section in recipe.sections:
        if section.level == 2:
            chapter = section.title
            found = re.fullmatch(r"Page (\d+): (.+)", chapter)
            if found:
                page = recipe.pages[int(found[1])] = Page(int(found[1]), found[2])
            recipe.server += "\n".join(section.code("toml")) if chapter == "Server" else ""
        if chapter == "Database":
            recipe.scripts += section.code("sql")
        elif chapter == "Component settings" and section.level == 3:
            recipe.component_settings[section.title.strip("*")] = dict(section.rows)
        elif chapter.startswith("Page ") and section.level == 3:
            _component(page, section)
    for page in recipe.pages.values():
        _name_regions(page)
    return recipe


def _name_regions(page: Page) -> None:
    """Put Static IDs for the titles by which Page Designer lets regions be chosen. KeyError: no such region."""
    static_ids = {region.title: region.static_id for region in page.regions}
    for dynamic_action in page.dynamic_actions:
        if dynamic_action.region:
            dynamic_action.region = static_ids[dynamic_action.region]
        for action in dynamic_action.actions:
            if action.type == REFRESH:
                action.settings["Region"] = static_ids[action.settings["Region"]]


def read_sections(text: str) -> Iterator[Section]:
    """A Markdown text cut at its headings."""
    fences = [(found.start(), found.end()) for found in _CODE.finditer(text)]
    heads = [
        found
        for found in re.finditer(r"^(#+) (.+)$", text, re.MULTILINE)
        if not any(start < found.start() < end for start, end in fences)
    ]
    ends = [*(found.start() for found in heads[1:]), len(text)]
    for found, end in zip(heads, ends, strict=True):
        line = text.count("\n", 0, found.start()) + 1
        yield Section(len(found[1]), found[2].strip(), text[found.end() : end], line)


def _component(page: Page, section: Section) -> None:
    kind, _, name = section.title.partition(" *")
    makers: dict[str, Callable[[Page, Section, str], None]] = {
        "Items": _items, "Buttons": _buttons, "Region": _region, "Dynamic action": _dynamic_action, "Process": _process,
    }  # fmt: skip
    makers[kind](page, section, name.removesuffix("*"))


def _items(page: Page, section: Section, _name: str) -> None:
    for name, kind, settings in section.rows:
        pairs = dict(part.split(": ", 1) for part in settings.split("; ") if part)
        known = {"Label", "Default", "Static Values", "Session State Protection", "Page Action on Selection"}
        assert set(pairs) <= known, f"{name}: {set(pairs) - known}"
        choices = tuple(part.strip() for part in pairs.get("Static Values", "").split(",") if part)
        page.items.append(
            Item(
                name, kind, pairs.get("Label", ""), pairs.get("Default", "").strip("`"), choices,
                is_protected=pairs.get("Session State Protection") == "Restricted",
                redirects=pairs.get("Page Action on Selection") == "Redirect and Set Value",
            )
        )  # fmt: skip


def _buttons(page: Page, section: Section, _name: str) -> None:
    page.buttons += [Button(*row) for row in section.rows]


def _region(page: Page, section: Section, name: str) -> None:
    rows = dict(section.rows)
    submits = tuple(part.strip() for part in rows.pop("Page Items to Submit", "").split(",") if part)
    (source,) = section.code("sql") or section.code("html")
    page.regions.append(Region(rows.pop("Static ID"), name, rows.pop("Type"), source, submits))
    assert not rows, rows


def _process(page: Page, section: Section, name: str) -> None:
    rows = dict(section.rows)
    process = Process(name, rows.pop("Type"), point=rows.pop("Point", "Processing"))
    process.success_message = rows.pop("Success Message", "")
    process.code = "\n".join(section.code("sql"))
    process.settings = rows
    page.processes.append(process)


def _dynamic_action(page: Page, section: Section, name: str) -> None:
    rows = section.rows
    starts = [number for number, row in enumerate(rows) if row[0] == "True Action"]
    when = {key: value for key, value in rows[: starts[0]] if key not in ("Selection Type",)}
    codes = {JAVASCRIPT: section.code("js"), SERVER_CODE: section.code("sql")}
    actions = []
    for start, end in pairwise([*starts, len(rows)]):
        settings = dict(rows[start + 1 : end])
        action = Action(rows[start][1], settings)
        action.waits_for_result = settings.pop("Wait for Result", "Off") == "On"
        action.stops_on_error = settings.pop("Stop Execution on Error", "On") == "On"
        if action.type in codes:
            action.code = codes[action.type].pop(0)
        actions.append(action)
    assert not any(codes.values()), f"{name}: a code block that no action runs"
    event = when.pop("Event")
    page.dynamic_actions.append(
        DynamicAction(name, event, actions, **{_TRIGGERS[key]: value for key, value in when.items()})
    )
