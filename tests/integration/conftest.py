"""Servers that many tests share: they start once, and each test has channels and users of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.support.server import SECURED, ServerProcess, run_server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def shared_open(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server in open mode that every test leaves running."""
    with run_server(tmp_path_factory.mktemp("open") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def shared_secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server in secured mode that every test leaves running."""
    with run_server(tmp_path_factory.mktemp("secured") / "data", **SECURED) as server:
        yield server


@pytest.fixture
def channel() -> str:
    """A name that no other test uses."""
    return f"channel-{next(_numbers)}"


@pytest.fixture
def user() -> str:
    """A user that no other test uses."""
    return f"USER{next(_numbers)}"
