"""One browser for each file of tests, one server for each test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.support.apex.door import Apex, run_apex
from tests.support.apex.plugin import imported_plugins
from tests.support.apex.recipe import Recipe, read_recipe
from tests.support.chromium import run_chromium
from tests.support.server import ServerProcess, run_server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    async with run_chromium() as chromium:
        yield chromium


@pytest.fixture
def demo_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A real server with the demo, in open mode."""
    with run_server(tmp_path / "data", demo="true") as server:
        yield server


@pytest.fixture(scope="module")
def apex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apex]:
    """An APEX instance with the plug-ins of the import files, and a secured server; one for a file of tests."""
    with run_apex(tmp_path_factory.mktemp("apex")) as instance:
        yield instance


@contextlib.contextmanager
def run_recipe(name: str, folder: Path, **settings: Any) -> Iterator[tuple[Apex, Recipe]]:
    """The application that docs/recipes/<name>.md describes, with its tables and its settings of the server."""
    recipe = read_recipe(name)
    scripts = []
    if recipe.scripts:
        scripts = [folder / f"{name}.sql"]
        scripts[0].write_text("\n".join(recipe.scripts), encoding="utf-8")
    if recipe.server:
        (folder / "server.toml").write_text(recipe.server, encoding="utf-8")
        settings["config"] = folder / "server.toml"
    with run_apex(folder, *scripts, **settings) as apex:
        apex.add(*recipe.pages.values())
        by_display_name = {plugin.display_name: plugin.name for plugin in imported_plugins().values()}
        apex.instance.component_settings = {
            by_display_name[shown]: settings for shown, settings in recipe.component_settings.items()
        }
        yield apex, recipe
