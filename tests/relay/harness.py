"""The applications' side of an outbox, on each kind of database that the contract is held to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

import psycopg
import pytest
from pydantic import SecretStr

from apex_rtm.clock import SystemClock
from apex_rtm.database.driver import connect_async
from apex_rtm.database.login import Login
from apex_rtm.relay.oracle import OracleStore
from apex_rtm.relay.store import OutboxStore
from tests.relay.fake_database import FakeDatabase, FakeStore, Transaction
from tests.relay.postgres import CHANNEL, Cluster, PostgresStore, find_postgres

COLUMNS = ["status", "attempts", "error", "publication_epoch", "publication_offset", "sent_by"]
NOT_RUN = (
    "not run: set ORACLE_DSN, ORACLE_USER and ORACLE_PASSWORD to a schema that `apex-rtm db install` has been run in"
)


class Work(Protocol):
    """A transaction of an application."""

    async def insert(self, channel: str, message_id: str, **columns: Any) -> int: ...
    async def commit(self) -> None: ...
    async def rollback(self) -> None: ...


class Harness(Protocol):
    """Makes sessions and looks into the table."""

    def store(self, sender: str, *, max_payload_characters: int = 1_048_576) -> OutboxStore: ...
    def begin(self) -> contextlib.AbstractAsyncContextManager[Work]: ...
    async def row(self, row_id: int) -> dict[str, Any]: ...
    async def pass_time(self, seconds: float) -> None: ...


# ── fake ──


class _FakeWork:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def insert(self, channel: str, message_id: str, **columns: Any) -> int:
        columns.setdefault("payload", None)
        return self._transaction.insert(channel, message_id=message_id, **columns).row.id

    async def commit(self) -> None:
        self._transaction.commit()

    async def rollback(self) -> None:
        self._transaction.rollback()


class FakeHarness:
    def __init__(self) -> None:
        self.database = FakeDatabase()

    def store(self, sender: str, *, max_payload_characters: int = 1_048_576) -> OutboxStore:
        store = FakeStore(self.database, sender)
        store.max_payload_characters = max_payload_characters
        return store

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[Work]:
        yield _FakeWork(self.database.begin())

    async def row(self, row_id: int) -> dict[str, Any]:
        stored = self.database.rows[row_id]
        epoch, offset = stored.position or (None, None)
        values = [stored.status, stored.attempts, stored.error, epoch, offset, stored.sent_by]
        return dict(zip(COLUMNS, values, strict=True))

    async def pass_time(self, seconds: float) -> None:
        self.database.clock.advance(seconds)


# ── SQL ──

INSERT = """
insert into rtm_outbox (message_id, channel, event_name, payload, meta, source)
values (:message_id, :channel, :event_name, :payload, :meta, 'TEST')"""


class PostgresWork:
    """Inserts and rings as RTM_OUTBOX_API.ENQUEUE does: one row, and one ring that comes with the commit."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def insert(self, channel: str, message_id: str, **columns: Any) -> int:
        values = {"event_name": None, "payload": None, "meta": None, **columns}
        cursor = await self._connection.execute(
            "insert into rtm_outbox (message_id, channel, event_name, payload, meta, source)"
            " values (%(message_id)s, %(channel)s, %(event_name)s, %(payload)s, %(meta)s, 'TEST') returning id",
            {"message_id": message_id, "channel": channel, **values},
        )
        row = await cursor.fetchone()
        await self._connection.execute(f"notify {CHANNEL}")
        assert row is not None
        return int(row[0])

    async def commit(self) -> None:
        await self._connection.commit()

    async def rollback(self) -> None:
        await self._connection.rollback()


class PostgresHarness:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        cluster.create_outbox()

    def store(self, sender: str, *, max_payload_characters: int = 1_048_576) -> OutboxStore:
        return PostgresStore(self.cluster.dsn, sender, max_payload_characters=max_payload_characters)

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[Work]:
        connection = await psycopg.AsyncConnection.connect(self.cluster.dsn)
        try:
            yield PostgresWork(connection)
        finally:
            await connection.close()

    async def row(self, row_id: int) -> dict[str, Any]:
        async with await psycopg.AsyncConnection.connect(self.cluster.dsn) as connection:
            query = "select status, attempts, error, publication_epoch, publication_offset, sent_by from rtm_outbox"
            row = await (await connection.execute(query + " where id = %s", [row_id])).fetchone()
        assert row is not None
        return dict(zip(COLUMNS, row, strict=True))

    async def pass_time(self, seconds: float) -> None:
        """Move what is written down into the past, which is the same."""
        async with await psycopg.AsyncConnection.connect(self.cluster.dsn) as connection:
            await connection.execute(
                "update rtm_outbox set next_attempt_at = next_attempt_at - make_interval(secs => %s)", [seconds]
            )
            await connection.execute(
                "update rtm_outbox_drain set resume_at = resume_at - make_interval(secs => %s)", [seconds]
            )


class _OracleWork:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def insert(self, channel: str, message_id: str, **columns: Any) -> int:
        values = {"event_name": None, "payload": None, "meta": None, **columns}
        cursor = self._connection.cursor()
        row_id = cursor.var(int)
        await cursor.execute(
            INSERT + " returning id into :row_id",
            {"message_id": message_id, "channel": channel, "row_id": row_id, **values},
        )
        return int(row_id.getvalue()[0])

    async def commit(self) -> None:
        await self._connection.commit()

    async def rollback(self) -> None:
        await self._connection.rollback()


class OracleHarness:
    """On a real database. Its outbox must be drained by nobody else: rtm_config_api.set_value('drain_by', 'RELAY')."""

    def __init__(self) -> None:
        self.login = Login(
            dsn=os.environ["ORACLE_DSN"], user=os.environ["ORACLE_USER"],
            password=SecretStr(os.environ["ORACLE_PASSWORD"]), password_file=None, wallet_dir=None,
            wallet_password=None, schema=None, connect_timeout_s=20, call_timeout_s=30,
        )  # fmt: skip

    async def clear(self) -> None:
        connection = await connect_async(self.login, "apex-rtm test")
        await connection.execute("delete from rtm_outbox")
        await connection.execute("update rtm_outbox_drain set failures = 0, resume_at = systimestamp")
        await connection.commit()
        await connection.close()

    def store(self, sender: str, *, max_payload_characters: int = 1_048_576) -> OutboxStore:
        return OracleStore(self.login, sender, max_payload_characters, SystemClock(), wakes=False)

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[Work]:
        connection = await connect_async(self.login, "apex-rtm test")
        try:
            yield _OracleWork(connection)
        finally:
            await connection.close()

    async def row(self, row_id: int) -> dict[str, Any]:
        connection = await connect_async(self.login, "apex-rtm test")
        query = "select status, attempts, error, publication_epoch, publication_offset, sent_by from rtm_outbox"
        row = await connection.fetchone(query + " where id = :row_id", {"row_id": row_id})
        await connection.close()
        assert row is not None
        return dict(zip(COLUMNS, row, strict=True))

    async def pass_time(self, seconds: float) -> None:
        connection = await connect_async(self.login, "apex-rtm test")
        interval = "numtodsinterval(:s, 'SECOND')"
        await connection.execute(
            f"update rtm_outbox set next_attempt_at = next_attempt_at - {interval}", {"s": seconds}
        )
        await connection.execute(f"update rtm_outbox_drain set resume_at = resume_at - {interval}", {"s": seconds})
        await connection.commit()
        await connection.close()


def start_cluster() -> Iterator[Cluster]:
    """A cluster for the time of a fixture; skips in words where there is no PostgreSQL."""
    programs = find_postgres()
    if programs is None:
        pytest.skip("not run: PostgreSQL is not installed (tools/system_packages.sh installs it)")
    cluster = Cluster(programs)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
