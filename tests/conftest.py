"""Fixtures that most tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import SECURED, ServerProcess, run_server

# Everything in these folders starts servers, browsers or databases: `make test` runs it, `make check` does not.
SLOW_FOLDERS = {"chaos", "e2e", "hardening", "integration"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by folder, so that no test in them can be forgotten."""
    for item in items:
        if SLOW_FOLDERS & set(item.path.parts):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def open_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A real server in open mode."""
    with run_server(tmp_path / "data") as server:
        yield server


@pytest.fixture
def secured_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A real server in secured mode."""
    with run_server(tmp_path / "data", **SECURED) as server:
        yield server
