"""A schema on a real database, or the word that there was none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle.database import Schema
from tests.support.server import API_KEY, JWT_SECRET, SECURED, ServerProcess, run_server

NOT_RUN = "not run: no ORACLE_DSN"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here takes a database, which takes its time."""
    for item in items:
        if "tests/oracle/" in item.path.as_posix():
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The real server, on every address of this machine: the database comes from elsewhere."""
    _require_dsn()
    settings = {**SECURED, "host": "0.0.0.0"}
    with run_server(tmp_path_factory.mktemp("server"), **settings) as server:
        yield server


def _require_dsn() -> str:
    dsn = os.environ.get("ORACLE_DSN")
    if not dsn:
        pytest.skip(NOT_RUN)
    return dsn


@pytest.fixture(scope="session")
def schema(bridge: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Schema]:
    """A schema with everything installed and configured for ``bridge``; dropped at the end."""
    with _installed(tmp_path_factory.mktemp("grants"), bridge.port) as owner:
        owner.block(
            """
            begin
              rtm_config_api.set_value(p_name => 'allow_http', p_value => 'Y');
              rtm_config_api.set_value(p_name => 'base_url', p_value => :url);
              rtm_config_api.set_value(p_name => 'api_key', p_value => :api_key);
              rtm_config_api.set_value(p_name => 'token_secret', p_value => :secret);
            end;""",
            url=f"http://{owner.callback_host}:{bridge.port}",
            api_key=API_KEY,
            secret=JWT_SECRET,
        )
        yield owner


@pytest.fixture
def spare_schema(bridge: ServerProcess, tmp_path: Path) -> Iterator[Schema]:
    """Another schema with everything installed, for a test that takes it apart."""
    with _installed(tmp_path, bridge.port) as owner:
        yield owner


@contextlib.contextmanager
def _installed(folder: Path, port: int) -> Iterator[Schema]:
    owner = Schema(_require_dsn(), os.environ.get("ORACLE_CALLBACK_HOST", "host.docker.internal"))
    owner.create(folder, port)
    try:
        totals = owner.run("install.sql")
        assert (totals.failed, totals.invalid) == ([], [])
        yield owner
    finally:
        owner.drop()
