"""Fixtures that most tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import SECURED, ServerProcess, run_server


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
