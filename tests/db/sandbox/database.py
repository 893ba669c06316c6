"""SQL of the packages over SQLite: the tables of db/ with their checks, and one log that commits by itself."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from tools.plsql.finding import SourceError
from tools.plsql.lexer import BIND, WORD, Token, tokenize
from tools.plsql.parse_expression import ExpressionParser
from tools.plsql.script import PLSQL, SQL
from tools.plsql.stream import Stream
from tools.plsql.stream import text_of as source_of
from tools.plsql.tree import Expression, Reference, Sql, walk
from tools.plsql.world import World, split_commas

from tests.db.sandbox.frame import Frame
from tests.db.sandbox.values import Lob, NotInSandboxError, OracleError, Record, Value, text_of, timestamp_text

if TYPE_CHECKING:
    from tests.db.sandbox.machine import Machine

LOG_TABLE = "rtm_log"
_NOW = "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')"
_KEPT_FUNCTIONS = ("count", "min", "max", "sum")
_LOCKS = re.compile(r"\s+for update(?: skip locked| nowait)?$")


class Database:
    """The tables, in two files: an autonomous transaction writes the log while the caller's transaction is open."""

    def __init__(self, world: World, folder: Path, machine: Machine) -> None:
        self.machine = machine
        self.row_count = 0
        self.scripts: list[str] = []
        self._folder = folder
        self._tables = set(world.tables)
        self._connections = [self._connect()]
        for kind, text in _definitions(world):
            if kind == "table":
                self._create(text)
            else:
                self._create_view(text)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._folder / "main.db", isolation_level=None, timeout=5)
        connection.execute("attach database ? as log", (str(self._folder / "log.db"),))
        connection.row_factory = sqlite3.Row
        for name in ("main", "log"):
            connection.execute(f"pragma {name}.journal_mode = wal")
            connection.execute(f"pragma {name}.synchronous = off")
        return connection

    def close(self) -> None:
        """Close what is open."""
        while self._connections:
            self._connections.pop().close()

    @property
    def _current(self) -> sqlite3.Connection:
        return self._connections[-1]

    @contextlib.contextmanager
    def transaction(self, *, autonomous: bool) -> Iterator[None]:
        """The transaction of a subprogram: the caller's, or one of its own."""
        if not autonomous:
            yield
            return
        self._connections.append(self._connect())
        try:
            yield
            if self._current.in_transaction:
                raise OracleError(-6519, "active autonomous transaction detected and rolled back")
        finally:
            self._connections.pop().close()

    # --- for tests

    def query(self, sql: str, *values: Value) -> list[dict[str, Value]]:
        """Rows of plain SQL, as the caller's transaction sees them."""
        return [dict(row) for row in self._current.execute(sql, values)]

    def change(self, sql: str, *values: Value) -> None:
        """Run plain SQL in the caller's transaction."""
        self._begin()
        self._current.execute(sql, values)

    def commit(self) -> None:
        """End the caller's transaction well."""
        if self._current.in_transaction:
            self._current.execute("commit")

    def rollback(self) -> None:
        """Undo the caller's transaction."""
        if self._current.in_transaction:
            self._current.execute("rollback")

    def _begin(self) -> None:
        if not self._current.in_transaction:
            self._current.execute("begin")

    # --- tables

    def _create(self, text: str) -> None:
        stream = Stream(tokenize(text))
        stream.expect("create", "table")
        name = stream.name()
        columns = [_column(item) for item in split_commas(stream.parenthesized())]
        schema = "log." if name == LOG_TABLE else ""
        self._connections[0].execute(f"create table {schema}{name} ({', '.join(columns)})")

    def _create_view(self, text: str) -> None:
        """A view, where SQLite can read it; a query of another one fails."""
        with contextlib.suppress(sqlite3.OperationalError):
            self._connections[0].execute(re.sub(r"create\s+or\s+replace", "create temp", text, flags=re.IGNORECASE))

    # --- statements of PL/SQL

    def sql(self, statement: Sql, frame: Frame) -> None:
        """Run one SQL statement of PL/SQL."""
        if statement.verb == "commit":
            self.commit()
        elif statement.verb == "rollback" and len(statement.tokens) > 1:
            self._current.execute(f"rollback to {statement.tokens[-1].low}")
        elif statement.verb == "rollback":
            self.rollback()
        elif statement.verb == "savepoint":
            self._begin()
            self._current.execute(f"savepoint {statement.tokens[-1].low}")
        elif statement.verb == "select":
            self._select(statement, frame)
        elif statement.verb in ("insert", "update", "delete"):
            self._change(statement, frame)
        else:
            raise NotInSandboxError(f"line {statement.line}: {statement.verb}")

    def _change(self, statement: Sql, frame: Frame) -> None:
        tokens, targets = _cut(statement.tokens, "returning", ())
        sql, values = self._translated(tokens, frame)
        self._begin()
        try:
            if targets:
                returned, _, into = _partition(targets, "into")
                row = self._current.execute(f"{sql} returning {source_of(returned)}", values).fetchone()
                for reference, value in zip(_references(into), row, strict=True):
                    self.machine.place(reference, frame).write(value)
                self.row_count = 1
            else:
                self.row_count = self._current.execute(sql, values).rowcount
        except sqlite3.IntegrityError as error:
            raise OracleError(*_constraint(str(error))) from error
        except sqlite3.OperationalError as error:
            raise OracleError(-942, f"table or view does not exist ({error})") from error

    def _select(self, statement: Sql, frame: Frame) -> None:
        items, _, rest = _partition(statement.tokens[1:], "into")
        targets, _, source = _partition(rest, "from")
        if source[0].word("dual"):
            values = [self._from_dual(items, source[1:], frame)]
        else:
            found = self.rows([statement.tokens[0], *items, _word("from"), *source], frame)
            if not found:
                raise OracleError(100, "no data found")
            if len(found) > 1:
                raise OracleError(-1422, "exact fetch returns more than requested number of rows")
            values = list(found[0].fields.values())
        for reference, value in zip(_references(targets), values, strict=True):
            self.machine.place(reference, frame).write(value)

    def _from_dual(self, items: list[Token], rest: list[Token], frame: Frame) -> Value:
        """``select x from dual where condition``: both are expressions of PL/SQL."""
        holds = not rest or self.machine.is_true(ExpressionParser(rest[1:]).expression(), frame)
        if source_of(items) == "count(*)":
            return int(holds)
        if not holds:
            raise OracleError(100, "no data found")
        return self.machine.value(ExpressionParser(items).expression(), frame)

    def rows(self, tokens: list[Token], frame: Frame) -> list[Record]:
        """The rows of a query."""
        sql, values = self._translated(tokens, frame)
        columns = {name: text for table in self._tables_in(tokens) for name, text in table.items()}
        return [
            Record({name: _read(value, columns.get(name)) for name, value in dict(row).items()})
            for row in self._current.execute(_LOCKS.sub("", sql), values)
        ]

    def _tables_in(self, tokens: list[Token]) -> list[dict[str, str | None]]:
        tables = self.machine.world.tables
        return [tables[token.low].columns for token in tokens if token.low in self._tables]

    def _translated(self, tokens: list[Token], frame: Frame) -> tuple[str, list[Value]]:
        """The statement for SQLite: whatever names no column is worked out in PL/SQL and becomes a parameter."""
        columns = {name for table in self._tables_in(tokens) for name in table}
        names = columns | self._tables | set(_KEPT_FUNCTIONS) | {"rownum"}
        words: list[str] = []
        values: list[Value] = []
        at = 0
        while at < len(tokens):
            end = self._end_of_value(tokens, at, names)
            if end is None:
                token = tokens[at]
                words.append("1" if token.word("rownum") else token.text)
                at += 1
            else:
                expression = _sum(tokens[at:end])
                values.append(_stored(self.machine.value(expression, frame)))
                words.append("?")
                at = end
        return " ".join(words).replace(" . ", "."), values

    def _end_of_value(self, tokens: list[Token], at: int, names: set[str]) -> int | None:
        """Where the expression that begins at ``at`` ends, if it names no column and no table."""
        before = tokens[at - 1] if at else None
        starts = before is not None and (before.op("=", "<", ">", "<=", ">=", "<>", ",", "(") or before.word("and"))
        if not starts or tokens[at].word("select", "case"):
            return None
        parser = ExpressionParser(tokens[at:])
        try:
            expression = parser._sum()
        except SourceError:
            return None
        references = [node for node in walk(expression) if isinstance(node, Reference)]
        if any(node.parts[0].name in names and not _is_field(node, names) for node in references):
            return None
        if any(len(node.parts) == 2 and len(node.parts[0].name) == 1 for node in references):
            return None  # alias.column
        return at + parser.place

    def execute(self, text: str, using: list[Token], frame: Frame) -> None:
        """``execute immediate``: a block with the bind variables in their order; out ones are written back."""
        self.scripts.append(text)
        binds = list(dict.fromkeys(token.low[1:] for token in tokenize(text) if token.kind == BIND))
        places = [_sum(item[1:] if item[0].word("in", "out") else item) for item in split_commas(using[1:])]
        modes = ["out" if item[0].word("out") else "in" for item in split_commas(using[1:])]
        given = {
            name: self.machine.value(place, frame) if mode == "in" else None
            for name, mode, place in zip(binds, modes, places, strict=True)
        }
        results = self.machine.block(text, **given)
        for name, mode, place in zip(binds, modes, places, strict=True):
            if mode == "out" and isinstance(place, Reference):
                self.machine.place(place, frame).write(results[name])


def _is_field(node: Reference, names: set[str]) -> bool:
    return len(node.parts) > 1 and node.parts[0].name not in names


def _definitions(world: World) -> Iterator[tuple[str, str]]:
    """Tables, then views; what a view selects is looked at only when it is asked."""
    for kind in ("table", "view"):
        pattern = re.compile(rf"\s*create\s+(or\s+replace\s+)?{kind}\b", re.IGNORECASE)
        for piece in world.pieces:
            if piece.kind in (SQL, PLSQL) and pattern.match(piece.text):
                yield kind, piece.text.rstrip().removesuffix(";")


def _column(tokens: list[Token]) -> str:
    """A column or constraint of Oracle as SQLite writes it; lengths become checks."""
    name = tokens[0].low
    if name == "constraint":
        rest = tokens[2:]
        return f"constraint {tokens[1].low} {source_of(rest)}" if not rest[0].word("primary") else "check (1)"
    text = source_of(tokens[1:])
    kind = "integer" if text.startswith("number") else "text"
    if "identity" in text:
        return f"{name} integer primary key autoincrement"
    column = f"{name} {kind}"
    default = re.search(r"default (systimestamp|'[^']*'|\d+)", text)
    if default:
        column += f" default {f'({_NOW})' if default.group(1) == 'systimestamp' else default.group(1)}"
    if "not null" in text:
        column += " not null"
    length = re.match(r"varchar2\((\d+)( char)?\)", text)
    if length:
        measured = f"length({name})" if length.group(2) else f"length(cast({name} as blob))"
        column += f" check ({measured} <= {length.group(1)})"
    return column


def _constraint(message: str) -> tuple[int, str]:
    if "NOT NULL" in message:
        return -1400, f"cannot insert NULL into ({message.rpartition(' ')[2]})"
    if "UNIQUE" in message:
        return -1, f"unique constraint violated ({message})"
    return -2290, f"check constraint violated ({message})"


def _stored(value: Value) -> Value:
    """A value as the tables keep it."""
    if isinstance(value, datetime):
        return timestamp_text(value)
    if isinstance(value, Decimal):
        return float(value)
    return text_of(value) if isinstance(value, Lob) else value


def _read(value: Value, type_text: str | None) -> Value:
    if value is not None and type_text is not None:
        if type_text.startswith("timestamp"):
            return datetime.fromisoformat(value)
        if type_text == "clob":
            return Lob(value)
    return value


def _sum(tokens: list[Token]) -> Expression:
    return ExpressionParser(tokens)._sum()


def _cut(tokens: list[Token], word: str, default: tuple[Token, ...]) -> tuple[list[Token], list[Token]]:
    at = next((i for i, token in enumerate(tokens) if token.word(word)), None)
    return (tokens, list(default)) if at is None else (tokens[:at], tokens[at + 1 :])


def _partition(tokens: list[Token], word: str) -> tuple[list[Token], Token | None, list[Token]]:
    depth = 0
    for at, token in enumerate(tokens):
        depth += 1 if token.op("(") else -1 if token.op(")") else 0
        if depth == 0 and token.word(word):
            return tokens[:at], token, tokens[at + 1 :]
    return tokens, None, []


def _references(tokens: list[Token]) -> list[Reference]:
    return [ExpressionParser(item).reference() for item in split_commas(tokens)]


def _word(text: str) -> Token:
    return Token(WORD, text, text, 0, 0)
