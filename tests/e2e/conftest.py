"""One browser for each file of tests, one server for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.support.apex.door import Apex, run_apex
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
