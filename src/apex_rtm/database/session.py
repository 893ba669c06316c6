"""What `apex-rtm db` runs its scripts on. Not run on Oracle by its authors."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import oracledb

from apex_rtm.database.driver import describe
from apex_rtm.database.sqlplus import Answer, DatabaseError

_LINES_AT_ONCE: Final = 100
_ERRORS: Final = """
select line, position, text
  from all_errors
 where owner = sys_context('USERENV', 'CURRENT_SCHEMA')
   and type = :kind
   and name = :name
   and attribute = 'ERROR'
 order by sequence"""


class OracleSession:
    """See `Session`."""

    def __init__(self, connection: oracledb.Connection) -> None:
        """Begin to collect DBMS_OUTPUT. Raises DatabaseError."""
        self._connection = connection
        self.execute("begin dbms_output.enable(buffer_size => null); end;")

    def execute(self, statement: str) -> Answer:
        """See `Session`."""
        return self._ask(statement, {})

    def _ask(self, statement: str, values: dict[str, Any]) -> Answer:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement, values)
                if cursor.description is None:
                    return Answer(has_warning=cursor.warning is not None)
                return Answer([column[0].lower() for column in cursor.description], cursor.fetchall())
        except (oracledb.Error, OSError) as error:
            raise DatabaseError(describe(error)) from error

    def output(self) -> list[str]:
        """See `Session`."""
        found: list[str] = []
        try:
            with self._connection.cursor() as cursor:
                lines = cursor.arrayvar(str, _LINES_AT_ONCE)
                count = cursor.var(int)
                while True:
                    count.setvalue(0, _LINES_AT_ONCE)
                    cursor.callproc("dbms_output.get_lines", (lines, count))
                    taken = int(count.getvalue())
                    found += [line or "" for line in lines.getvalue()[:taken]]
                    if taken < _LINES_AT_ONCE:
                        return found
        except (oracledb.Error, OSError) as error:
            raise DatabaseError(describe(error)) from error

    def compile_errors(self, kind: str, name: str) -> list[str]:
        """See `Session`."""
        rows = self._ask(_ERRORS, {"kind": kind, "name": name}).rows
        return [f"line {line}, column {column}: {' '.join(str(text).split())}" for line, column, text in rows]

    def rollback(self) -> None:
        """See `Session`."""
        try:
            self._connection.rollback()
        except (oracledb.Error, OSError) as error:
            raise DatabaseError(describe(error)) from error

    def close(self) -> None:
        """See `Session`."""
        with contextlib.suppress(oracledb.Error, OSError):
            self._connection.close()
