"""The database of the instance: one sandbox session in one thread, with the state of whichever APEX session calls."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tools.plsql.grammar import ROOT
from tools.plsql.world import read_world, roots

from tests.db.sandbox.session import Session
from tests.db.sandbox.values import Lob, NotInSandboxError, OracleError, Record, Value, text_of

T = TypeVar("T")

_BIND = re.compile(r":([A-Za-z]\w*)")
_FETCH_FIRST = re.compile(r"fetch\s+first\s+(\d+)\s+rows\s+only", re.IGNORECASE)


@dataclass(slots=True)
class ApexSession:
    """Who is logged in, and the values of the items in session state."""

    number: int
    user: str
    items: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Answer:
    """What an AJAX callback answered."""

    document: dict[str, Value]


class Database:
    """Runs what pages ask for, one after the other. Call ``close`` at the end."""

    def __init__(self, folder: Path, scripts: list[Path]) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self.session = self.run(lambda: _open(folder, scripts))
        self._identifier: str | None = None
        self.jobs: list[str] = []
        """Blocks of jobs that were created, for ``run_job``."""
        self._naps: int | None = None
        supplied = self.session.machine.supplied
        supplied["apex_plugin.get_ajax_identifier"] = lambda: self._identifier
        supplied["dbms_scheduler.create_job"] = lambda job_action, **_: self.jobs.append(str(job_action))
        supplied["dbms_session.sleep"] = self._sleep

    def run(self, work: Callable[[], T]) -> T:
        """Do something in the thread of the database."""
        return self.submit(work).result(timeout=30)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have something done there."""
        future: Future[T] = Future()

        def task() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised again where the result is wanted
                future.set_exception(error)

        self._tasks.put(task)
        return future

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()

    # --- jobs that take their time

    def hold_jobs(self) -> None:
        """From now on a job that sleeps does not wake up by itself."""
        self._naps = 0

    def wake_job(self, times: int = 1) -> None:
        """Let the job sleep so many times more, and hold it again."""
        self.run(lambda: setattr(self, "_naps", (self._naps or 0) + times))

    def run_job(self) -> Future[None]:
        """Run the job that was created last as the scheduler does: beside the pages, and committing by itself."""
        code = self.jobs.pop()

        def work() -> None:
            self.session.apex.context = {}
            self.session.machine.block(code)
            self.commit()

        return self.submit(work)

    def _sleep(self, seconds: Value) -> None:
        """DBMS_SESSION.SLEEP: while one session sleeps, the others work. A real one would have a context of its own."""
        apex = self.session.apex
        kept = apex.context, apex.items, self._identifier
        if not self.session.machine.database._current.in_transaction:  # what is not committed, no other session sees
            self.commit()
        while self._naps == 0:
            task = self._tasks.get()
            if task is None:
                raise NotInSandboxError("the instance was closed while a job slept")
            task()
        self._naps = None if self._naps is None else self._naps - 1
        apex.context, apex.items, self._identifier = kept

    def close(self) -> None:
        """Close what is open; a request that a package left open fails the test."""
        open_requests = list(self.session.http.open)
        self.run(self.session.machine.database.close)
        self._tasks.put(None)
        self._thread.join(10)
        assert open_requests == [], "a request was left open (ORA-29270 after five of them)"

    # --- in the thread of the database

    def enter(self, caller: ApexSession, app_id: int, page: int) -> None:
        """Make the APEX session ``caller`` the current one."""
        apex = self.session.apex
        apex.context = {
            "APP_USER": caller.user, "APP_SESSION": str(caller.number),
            "APP_ID": str(app_id), "APP_PAGE_ID": str(page),
        }  # fmt: skip
        apex.items = caller.items
        apex.g_x01, apex.g_clob_01, apex.answer = None, None, {}

    def record(self, kind: str, fields: dict[str, str | None]) -> Record:
        """A record of APEX_PLUGIN with these fields; the others are null."""
        shape = self.session.machine.world.catalogue.packages["apex_plugin"].records[kind]
        assert set(fields) <= set(shape), sorted(set(fields) - set(shape))
        return Record(dict.fromkeys(shape) | fields)

    def callback(self, function: str, ajax_identifier: str | None, **records: Record) -> Record:
        """Call a callback of a plug-in."""
        self._identifier = ajax_identifier
        result: Record = self.session.call(function, **records)
        return result

    def plsql(self, code: str) -> dict[str, str | None]:
        """Run a block with items as bind variables; gives those that it names, as they are afterwards."""
        text = code if re.match(r"\s*(declare|begin)\b", code, re.IGNORECASE) else f"begin\n{code}\nend;"
        names = sorted(set(_BIND.findall(_without_strings(text))))
        given = {name: self.item(name.upper()) for name in names}
        after = self.session.machine.block(text, **given)
        return {name.upper(): text_of(value) for name, value in after.items()}

    def query(self, sql: str) -> list[dict[str, object]]:
        """Rows of a query with items as bind variables."""
        names: list[str] = []

        def mark(found: re.Match[str]) -> str:
            names.append(found[1].upper())
            return "?"

        text = _FETCH_FIRST.sub(r"limit \1", _BIND.sub(mark, sql.strip().rstrip(";")))
        return self.session.rows(text, *(self.item(name) for name in names))

    def item(self, name: str) -> str | None:
        """A value as ``:NAME`` and ``&NAME.`` give it."""
        return self.session.apex.context.get(name) or self.session.apex.items.get(name) or None

    def post(self, x01: str | None, clob_01: str | None) -> None:
        """What the browser sent along."""
        self.session.apex.g_x01 = x01 or None
        self.session.apex.g_clob_01 = Lob(clob_01) if clob_01 else None

    def commit(self) -> None:
        """End the request's transaction, and let the scheduler's job send what it left in the outbox."""
        self.session.commit()
        if self.session.rows("select 1 from rtm_outbox where status = 'PENDING' limit 1"):
            self.session.call("rtm_job.drain", p_run_s=0)

    def rollback(self) -> None:
        """Undo the request's transaction."""
        self.session.rollback()


def message_of(error: OracleError) -> str:
    """What APEX shows of an error that nobody handled."""
    return error.stack[0]


def _without_strings(text: str) -> str:
    return re.sub(r"'[^']*'|--[^\n]*", "", text)


def _open(folder: Path, scripts: list[Path]) -> Session:
    folder.mkdir(parents=True, exist_ok=True)
    world = read_world([*roots(ROOT / "db"), *scripts], ROOT) if scripts else None
    return Session(folder, world)
