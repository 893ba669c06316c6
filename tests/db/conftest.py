"""A server for a whole module, and sessions with the packages of db/ that talk to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.db.sandbox.session import Session, open_session
from tests.db.sandbox.values import OracleError
from tests.support.server import API_KEY, JWT_SECRET, SECURED, ServerProcess, run_server

MAX_MESSAGE_BYTES = 300_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The real server in secured mode, the same for every test of a module."""
    settings = {**SECURED, "max_message_bytes": MAX_MESSAGE_BYTES, "engine": "memory"}
    with run_server(tmp_path_factory.mktemp("data"), **settings) as process:
        yield process


@pytest.fixture
def session(tmp_path: Path, server: ServerProcess) -> Iterator[Session]:
    """A session of a database that is configured for the server."""
    with open_session(tmp_path) as opened:
        opened.configure(base_url=server.url, api_key=API_KEY, token_secret=JWT_SECRET)
        yield opened


@contextlib.contextmanager
def refused(session: Session, name: str) -> Iterator[None]:
    """Demand that the block ends with ``rtm_error.e_<name>``."""
    with pytest.raises(OracleError) as error:
        yield
    assert error.value.code == session.constant(f"rtm_error.c_{name}"), str(error.value)
