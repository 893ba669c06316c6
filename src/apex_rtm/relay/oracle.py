"""The outbox in an Oracle database, by python-oracledb in thin mode. Not run on Oracle by its authors."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

import oracledb

from apex_rtm.clock import Clock
from apex_rtm.database.driver import ConnectFault, connect_async, describe
from apex_rtm.database.login import Login
from apex_rtm.errors import ConfigurationError
from apex_rtm.relay import statements
from apex_rtm.relay.bell import Bell
from apex_rtm.relay.row import Row
from apex_rtm.relay.store import Refusal, Sent, StoreFault, Turn

_PROGRAM: Final = "apex-rtm relay"
_CLOSE_TIMEOUT_MS: Final = 3000
# A refused password is tried again this seldom, unless it has changed: the default profile locks after ten.
_SAME_PASSWORD_S: Final = 900.0


class OracleStore:
    """See `OutboxStore`. Uses one session, and a second one where the database offers the wake queue."""

    def __init__(self, login: Login, sender: str, max_payload_characters: int, clock: Clock, *, wakes: bool) -> None:
        self._login = login
        self._sender = sender
        self._max_payload_characters = max_payload_characters
        self._clock = clock
        self._bell = Bell(lambda: connect_async(login, _PROGRAM), login.schema) if wakes else None
        self._connection: oracledb.AsyncConnection | None = None
        self._refused: tuple[bytes, float] | None = None

    async def open(self) -> None:
        """Log in. Raises StoreFault."""
        try:
            fingerprint = hashlib.sha256(self._login.read_password().encode()).digest()
            self._spare_the_account(fingerprint)
            self._connection = await connect_async(self._login, _PROGRAM)
        except ConfigurationError as error:
            raise StoreFault(str(error)) from error
        except ConnectFault as fault:
            if fault.is_login:
                self._refused = (fingerprint, self._clock.monotonic())
            raise StoreFault(str(fault), is_login=fault.is_login) from fault
        self._refused = None
        if self._bell is not None:
            self._bell.start()

    def _spare_the_account(self, fingerprint: bytes) -> None:
        if self._refused is None or self._refused[0] != fingerprint:
            return
        if self._clock.monotonic() - self._refused[1] < _SAME_PASSWORD_S:
            raise StoreFault(f"{self._login.user}: the same password was refused a short time ago", is_login=True)

    # ── one batch ──

    async def has_due(self) -> bool:
        """See `OutboxStore`."""
        async with self._session() as connection:
            row = await connection.fetchone(statements.HAS_DUE)
        return row is not None and bool(row[0])

    async def take_turn(self) -> Turn | None:
        """See `OutboxStore`."""
        async with self._session() as connection:
            row = await connection.fetchone(statements.TAKE_TURN)
        if row is None:
            return None
        failures, resume_at, now = row
        return Turn(int(failures), _seconds(resume_at, now))

    async def fetch(self, limit: int) -> list[Row]:
        """See `OutboxStore`."""
        async with self._session() as connection:
            cursor = connection.cursor()
            try:
                # The first fetch is of prefetchrows, that of a statement from the cache of arraysize rows: were either
                # larger than the limit, rows would be locked that are not sent.
                cursor.prefetchrows = cursor.arraysize = limit
                cursor.outputtypehandler = _clob_as_text
                await cursor.execute(statements.FETCH_DUE, {"most_characters": self._max_payload_characters})
                rows = await cursor.fetchmany(limit)
            finally:
                cursor.close()
        return [_row(values) for values in rows]

    async def mark_sent(self, sent: Sequence[Sent]) -> None:
        """See `OutboxStore`."""
        await self._execute_many(
            statements.MARK_SENT,
            [{"row_id": s.row_id, "epoch": s.epoch, "place": s.offset, "sender": self._sender} for s in sent],
        )

    async def mark_refused(self, refusals: Sequence[Refusal]) -> None:
        """See `OutboxStore`."""
        values = [
            {
                "row_id": refusal.row_id,
                "status": "PARKED" if refusal.is_parked else "PENDING",
                "attempts": refusal.attempts,
                "error": refusal.error,
                "wait_s": refusal.wait_s,
            }
            for refusal in refusals
        ]
        await self._execute_many(statements.MARK_REFUSED, values)

    async def note_success(self) -> None:
        """See `OutboxStore`."""
        await self._execute(statements.NOTE_SUCCESS, {"sender": self._sender})

    async def note_failure(self, failures: int, wait_s: float, error: str) -> None:
        """See `OutboxStore`."""
        await self._execute(
            statements.NOTE_FAILURE,
            {"failures": failures, "wait_s": wait_s, "error": error, "sender": self._sender},
        )

    async def commit(self) -> None:
        """See `OutboxStore`."""
        async with self._session() as connection:
            await connection.commit()

    async def _execute(self, statement: str, values: dict[str, Any]) -> None:
        async with self._session() as connection:
            await connection.execute(statement, values)

    async def _execute_many(self, statement: str, values: list[dict[str, Any]]) -> None:
        if values:
            async with self._session() as connection:
                await connection.executemany(statement, values)

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[oracledb.AsyncConnection]:
        """The connection, whose errors become StoreFault."""
        if self._connection is None:
            raise StoreFault("there is no connection")
        try:
            yield self._connection
        except (oracledb.Error, OSError, TimeoutError) as error:
            raise StoreFault(describe(error)) from error

    # ── waiting and leaving ──

    @property
    def is_woken(self) -> bool:
        """See `OutboxStore`."""
        return self._bell is not None and self._bell.is_working

    async def wait_for_wake(self, timeout_s: float) -> None:
        """See `OutboxStore`."""
        if self._bell is None:
            await asyncio.sleep(timeout_s)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._bell.rang.wait()
        self._bell.rang.clear()

    async def close(self) -> None:
        """See `OutboxStore`."""
        connection, self._connection = self._connection, None
        if self._bell is not None:
            await self._bell.stop()
        if connection is not None:
            # Not asyncio.timeout: the driver answers a cancellation by waiting for the database.
            with contextlib.suppress(oracledb.Error, OSError, TimeoutError):
                connection.call_timeout = _CLOSE_TIMEOUT_MS
                await connection.close()


def _clob_as_text(cursor: oracledb.AsyncCursor, column: oracledb.FetchInfo) -> Any:
    """Fetch CLOBs with their rows; as locators each of them would be a round trip of its own."""
    if column.type_code is oracledb.DB_TYPE_CLOB:
        return cursor.var(oracledb.DB_TYPE_LONG, arraysize=cursor.arraysize)
    return None


def _row(values: Sequence[Any]) -> Row:
    row_id, message_id, channel, event_name, payload, meta, attempts, created_at, now, characters = values
    return Row(
        id=int(row_id),
        message_id=message_id,
        channel=channel,
        event_name=event_name,
        payload=payload,
        meta=meta,
        attempts=int(attempts),
        age_s=_seconds(now, created_at),
        payload_characters=int(characters or 0),
    )


def _seconds(later: datetime, earlier: datetime) -> float:
    return (later - earlier).total_seconds()
