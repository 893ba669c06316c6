"""Components as an APEX page holds them, and a database session that answers for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tools.plsql.resolve import Typed

from tests.db.sandbox.session import Session, open_session
from tests.db.sandbox.values import Record, Value
from tests.support.server import API_KEY, JWT_SECRET, SECURED, ServerProcess, run_server

Component = Callable[..., Record]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The real server in secured mode, the same for every test of a module."""
    with run_server(tmp_path_factory.mktemp("data"), **{**SECURED, "engine": "memory"}) as process:
        yield process


@pytest.fixture
def session(tmp_path: Path, server: ServerProcess) -> Iterator[Session]:
    """A session of a database that is configured for the server, with SCOTT on page 10."""
    with open_session(tmp_path) as opened:
        opened.configure(base_url=server.url, api_key=API_KEY, token_secret=JWT_SECRET)
        opened.apex.context.update(APP_USER="SCOTT", APP_SESSION="4711", APP_ID="100", APP_PAGE_ID="10")
        yield opened


@pytest.fixture
def component(session: Session) -> Component:
    """Makes ``apex_plugin.<type>`` with attributes by number: ``component("t_process", a3="test")``."""

    def make(type_name: str, **attributes: Value) -> Record:
        record: Record = session.machine.types.fresh(Typed(f"apex_plugin.{type_name}"))
        for name, value in attributes.items():
            field = f"attribute_{int(name[1:]):02}" if name[0] == "a" and name[1:].isdigit() else name
            assert field in record.fields
            record.fields[field] = value
        return record

    return make
