"""One database session with the packages of db/ in it, and a server to talk to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tools.plsql.grammar import ROOT
from tools.plsql.world import World, read_world, roots

from tests.db.sandbox import http, supplied
from tests.db.sandbox.database import LOG_TABLE
from tests.db.sandbox.machine import Machine
from tests.db.sandbox.values import Collection, Record, Value


@cache
def world() -> World:
    """The scripts of db/, read once."""
    return read_world(roots(ROOT / "db"), ROOT)


class Session:
    """Calls packages and looks at tables. Texts in, texts out."""

    def __init__(self, folder: Path, scripts: World | None = None) -> None:
        self.machine = Machine(scripts or world(), folder)
        self.http = http.Http()
        self.apex = supplied.Apex()
        http.install(self.machine, self.http)
        supplied.install(self.machine, self.apex)
        self.machine.database.change("insert into rtm_outbox_drain (id) values (1)")
        self.commit()

    def call(self, name: str, **arguments: Value) -> Value:
        """``package.subprogram`` with named arguments."""
        return self.machine.run(name, **arguments)

    def configure(self, **settings: str | int | None) -> None:
        """Store settings as an administrator does, and commit."""
        for name, value in settings.items():
            self.call("rtm_config_api.set_value", p_name=name, p_value=value)
        self.commit()

    def constant(self, name: str) -> Value:
        """The value of ``package.constant``."""
        package, _, member = name.partition(".")
        owner = self.machine.package(package).owner("variables", member)
        assert owner is not None
        return owner.variables[member].value

    def record(self, type_name: str, **fields: Value) -> Record:
        """A record of ``package.type``."""
        record: Record = self.machine.new(type_name)
        for name, value in fields.items():
            self.machine.assign_field(record, name, value)
        return record

    def collection(self, *items: Value) -> Collection:
        """An associative array with the keys 1, 2, 3 …"""
        return Collection(dict(enumerate(items, 1)))

    def commit(self) -> None:
        self.machine.database.commit()

    def rollback(self) -> None:
        self.machine.database.rollback()

    def rows(self, sql: str, *values: Value) -> list[dict[str, Value]]:
        """Rows of plain SQL."""
        return self.machine.database.query(sql, *values)

    def log(self) -> list[dict[str, Value]]:
        """RTM_LOG, oldest first."""
        return self.rows(f"select * from {LOG_TABLE} order by id")


@contextlib.contextmanager
def open_session(folder: Path) -> Iterator[Session]:
    """A session for the time of a ``with`` block. A request that is left open fails the test that left it."""
    session = Session(folder)
    try:
        yield session
        assert session.http.open == [], "a request was left open (ORA-29270 after five of them)"
    finally:
        session.machine.database.close()
