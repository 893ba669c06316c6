"""Learns of commits from RTM_WAKE_QUEUE, on a connection of its own. Not run on Oracle by its authors.

The queue is made by db/09_rtm_wake_queue.sql. A ring tells nothing but that there may be rows: one that is lost costs
the latency of a poll, and one too many costs a look.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

import oracledb

from apex_rtm.database.driver import ConnectFault, describe
from apex_rtm.errors import ConfigurationError
from apex_rtm.log import get_logger
from apex_rtm.relay.statements import IS_WAKE_OFFERED, WAKE_QUEUE

_log = get_logger(__name__)
_WAIT_S: Final = 30  # of one dequeue; then it is asked whether rings are still offered
_MARGIN_S: Final = 15
_ABSENT_S: Final = 300.0  # not offered, or no rights: looked at again, so that it can be switched on without a restart
_BROKEN_S: Final = 30.0
_RINGS_AT_ONCE: Final = 1000
_STOP_S: Final = 3.0


class Bell:
    """`rang` is set at every ring, and when rings end. `is_working` says whether they can be relied on."""

    def __init__(self, connect: Callable[[], Awaitable[oracledb.AsyncConnection]], schema: str | None) -> None:
        self.rang = asyncio.Event()
        self.is_working = False
        self._connect = connect
        self._queue_name = WAKE_QUEUE if schema is None else f"{schema.upper()}.{WAKE_QUEUE}"
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen; returns at once."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Stop listening. Never raises."""
        task, self._task = self._task, None
        # Cancelled in a call, the driver asks the database to break it off and waits for the answer, which a dead
        # network never brings; cancelled again, it gives up.
        for _ in range(2):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=_STOP_S)
        self.is_working = False

    async def _listen(self) -> None:
        while True:
            pause_s = _ABSENT_S
            try:
                await self._attend()
            except (oracledb.Error, ConnectFault, ConfigurationError, OSError, TimeoutError) as error:
                pause_s = _BROKEN_S if self.is_working else _ABSENT_S
                _log.info("bell.absent", reason=describe(error))
            self.is_working = False
            self.rang.set()
            await asyncio.sleep(pause_s)

    async def _attend(self) -> None:
        """Listen until rings are no longer offered."""
        connection = await self._connect()
        try:
            connection.call_timeout = (_WAIT_S + _MARGIN_S) * 1000
            queue = connection.queue(self._queue_name)
            # A ring is gone once it is heard: rows are looked at after it, and at every start anyway.
            queue.deqoptions.visibility = oracledb.DEQ_IMMEDIATE
            queue.deqoptions.navigation = oracledb.DEQ_FIRST_MSG
            while await self._is_offered(connection):
                queue.deqoptions.wait = _WAIT_S
                ring = await queue.deqone()
                self.is_working = True
                if ring is None:
                    continue
                self.rang.set()
                queue.deqoptions.wait = oracledb.DEQ_NO_WAIT
                while len(await queue.deqmany(_RINGS_AT_ONCE)) == _RINGS_AT_ONCE:
                    pass
        finally:
            connection.call_timeout = int(_STOP_S * 1000)
            with contextlib.suppress(oracledb.Error, OSError, TimeoutError):
                await connection.close()

    @staticmethod
    async def _is_offered(connection: oracledb.AsyncConnection) -> bool:
        row = await connection.fetchone(IS_WAKE_OFFERED)
        return row is not None and bool(row[0])
