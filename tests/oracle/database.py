"""A schema of its own in a real database, for the time of a test run."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any

import oracledb
from tools.plsql.grammar import ROOT

from apex_rtm.database.session import OracleSession
from apex_rtm.database.sqlplus import Runner, Totals

DB = ROOT / "db"
_DSN = re.compile(r"(?P<user>[^/]+)/(?P<password>.+)@(?P<dsn>[^@]+)")


class Schema:
    """A user with everything that the packages need, and connections as that user."""

    def __init__(self, dsn: str, callback_host: str) -> None:
        """``dsn`` is ``user/password@host:port/service`` of a DBA."""
        shape = _DSN.fullmatch(dsn)
        if shape is None:
            raise ValueError("ORACLE_DSN has to be user/password@host:port/service")
        self._admin = shape.groupdict()
        self.callback_host = callback_host
        self.name = f"RTM_TEST_{secrets.token_hex(3).upper()}"
        self._password = f"Pw_{secrets.token_hex(8)}"

    def admin(self) -> oracledb.Connection:
        """A connection as the DBA."""
        connection: oracledb.Connection = oracledb.connect(**self._admin)
        return connection

    def connect(self) -> oracledb.Connection:
        """A connection as the owner of the packages."""
        connection: oracledb.Connection = oracledb.connect(
            user=self.name, password=self._password, dsn=self._admin["dsn"]
        )
        return connection

    def create(self, folder: Path, port: int) -> None:
        """Create the user, and run the DBA's script with schema, host and port filled in."""
        text = (DB / "00_grants_and_acl.sql").read_text(encoding="utf-8")
        for number, value in enumerate((self.name, self.callback_host, str(port)), 1):
            text = re.sub(rf"&{number}\b", value, text)
        (folder / "grants.sql").write_text(text, encoding="utf-8")
        with self.admin() as connection:
            cursor = connection.cursor()
            cursor.execute(f'create user {self.name} identified by "{self._password}" quota unlimited on users')
            totals = Runner(folder, OracleSession(connection), print).run(folder / "grants.sql")
        assert totals.failed == [], totals.failed

    def drop(self) -> None:
        """Remove the user with all that is left."""
        with self.admin() as connection:
            connection.cursor().execute(f"drop user {self.name} cascade")

    def run(self, script: str, **answers: str) -> Totals:
        """Run a script of db/ as the owner. Raises DatabaseError where the script stops at an error."""
        connection = self.connect()
        try:
            return Runner(DB, OracleSession(connection), print, answers).run(DB / script)
        finally:
            connection.close()

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query as the owner."""
        with self.connect() as connection:
            cursor = connection.cursor()
            cursor.execute(sql, values)
            return [tuple(row) for row in cursor.fetchall()]

    def block(self, text: str, /, **values: Any) -> dict[str, Any]:
        """Run a PL/SQL block and commit. A value that is a type is an ``out`` variable, and is given back."""
        with self.connect() as connection:
            cursor = connection.cursor()
            kinds = {str: oracledb.DB_TYPE_VARCHAR, int: oracledb.DB_TYPE_NUMBER, bytes: oracledb.DB_TYPE_CLOB}
            binds = {
                name: cursor.var(kinds[value], 32767 if value is str else 0) if isinstance(value, type) else value
                for name, value in values.items()
            }
            cursor.execute(text, binds)
            outs = {}
            for name, value in values.items():
                if isinstance(value, type):
                    found = binds[name].getvalue()
                    outs[name] = found.read() if hasattr(found, "read") else found
            connection.commit()
            return outs

    def objects(self) -> set[tuple[str, str, str]]:
        """Every object of the schema: type, name, status. Not those that Oracle makes for a table by itself."""
        rows = self.rows("select object_type, object_name, status from user_objects where generated = 'N'")
        return {(str(kind), str(name), str(status)) for kind, name, status in rows}
