"""One machine; what was answered survives `kill -9` and power loss.

The journal in memory is what everything reads from. SQLite only receives: one writer thread, and whatever arrives while
it waits for the disk goes into the next transaction together (group commit). A batch is appended to the
journal and delivered after its commit, so no subscriber ever holds a position that a crash could take back.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from apex_rtm.clock import Clock
from apex_rtm.engine.alone import Alone
from apex_rtm.engine.base import EngineListener
from apex_rtm.engine.journal import ChannelLog, Entry, Journal, Retention
from apex_rtm.engine.write import Batch
from apex_rtm.errors import ConfigurationError, Unavailable
from apex_rtm.log import get_logger
from apex_rtm.message import Message, Position, Published
from apex_rtm.revocations import Revocation

_log = get_logger(__name__)
FILE_NAME: Final = "journal.db"
_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
create table journal(only integer primary key check (only = 1), epoch text not null, generation integer not null,
                     seq integer not null, forgotten_seq integer not null) strict;
create table channel(name text primary key, epoch text not null, top integer not null, last_seq integer not null,
                     last_at real not null, lost_seq integer not null) strict, without rowid;
create table publication(seq integer primary key, channel text not null, epoch text not null, offset integer not null,
                         at real not null, id text not null, frame blob not null) strict;
create table sent_id(channel text not null, id text not null, epoch text not null, offset integer not null,
                     at real not null, primary key (channel, id)) strict, without rowid;
create index sent_id_at on sent_id(at);
create table revocation(user text, session_id text, channel text, at real not null) strict;
"""


@dataclass(slots=True)
class _Waiting:
    """Messages of one caller, waiting for the disk."""

    messages: Sequence[Message]
    done: asyncio.Future[list[Published | Unavailable]]


class SqliteEngine(Alone):
    """See `Engine` for the guarantees and the module for how they are kept."""

    def __init__(
        self, directory: Path, journal: Journal, retention: Callable[[str], Retention], clock: Clock, *,
        idempotency_window_s: float, revocation_keep_s: float, max_waiting: int,
    ) -> None:  # fmt: skip
        self.journal = journal
        self.trouble: str | None = None
        self._path = directory / FILE_NAME
        self._retention = retention
        self._clock = clock
        self._idempotency_window_s = idempotency_window_s
        self._revocation_keep_s = revocation_keep_s
        self._max_waiting = max_waiting
        self._listener: EngineListener | None = None
        self._revocations: list[Revocation] = []
        self._waiting: list[_Waiting] = []
        self._waiting_count = 0
        self._writer: asyncio.Task[None] | None = None
        self._tidy_is_due = False
        self._thread = ThreadPoolExecutor(1, "sqlite")
        self._db: sqlite3.Connection | None = None

    # ── start and stop ──

    async def start(self, listener: EngineListener) -> None:
        """Open the file and load the journal. Raises ConfigurationError."""
        self._listener = listener
        await self._in_thread(self._open)

    def _open(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=2)
            with contextlib.ExitStack() as on_failure:
                on_failure.callback(db.close)  # an open connection would keep the lock
                self._read(db)
                on_failure.pop_all()
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError([f"data_dir: {self._path} cannot be used: {_explain(error)}"]) from error
        self._db = db

    def _read(self, db: sqlite3.Connection) -> None:
        # Held for as long as the server runs: two servers on one file would give the same offsets twice.
        db.execute("pragma locking_mode = exclusive")
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        db.execute("begin exclusive")
        self._create_or_check(db)
        db.execute("commit")
        self._load(db)

    def _create_or_check(self, db: sqlite3.Connection) -> None:
        (version,) = db.execute("pragma user_version").fetchone()
        if version == 0:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute("insert into journal values (1, ?, ?, 0, 0)", (self.journal.epoch, self.journal.generation))
            db.execute(f"pragma user_version = {_SCHEMA_VERSION}")
        elif version != _SCHEMA_VERSION:
            raise ConfigurationError(
                [f"data_dir: {self._path} was written by another release (format {version}, not {_SCHEMA_VERSION})"]
            )

    def _load(self, db: sqlite3.Connection) -> None:
        journal, now = self.journal, self._clock.now()
        head = db.execute("select epoch, generation, seq, forgotten_seq from journal").fetchone()
        (journal.epoch, journal.generation, seq, journal.forgotten_seq) = head
        channels = db.execute("select name, epoch, top, last_seq, last_at, lost_seq from channel order by last_seq")
        for name, *state in channels:
            epoch, top, last_seq, last_at, lost_seq = state
            journal.restore(name, ChannelLog(epoch, self._retention(name), top, last_seq, last_at, lost_seq))
        rows = db.execute("select seq, channel, epoch, offset, at, frame, id from publication order by seq")
        for row_seq, channel, epoch, offset, at, frame, message_id in rows:
            if channel in journal.channels and journal.channels[channel].epoch == epoch:
                journal.append(Entry(row_seq, channel, Position(epoch, offset), at, frame, message_id))
            else:  # dropped before the last stop, but not yet deleted: it belongs to an earlier life of the channel
                journal.evicted[row_seq] = channel
                journal.forgotten_seq = max(journal.forgotten_seq, row_seq)
        journal.seq = seq
        horizon = now - self._idempotency_window_s
        sent = db.execute("select channel, id, epoch, offset, at from sent_id where at > ? order by at", (horizon,))
        for channel, message_id, epoch, offset, at in sent:
            journal.remember(channel, Published(message_id, Position(epoch, offset), repeated=True), at)
        self._revocations = [
            Revocation(*row) for row in db.execute("select user, session_id, channel, at from revocation")
        ]

    def revocations(self) -> Sequence[Revocation]:
        """What was in force when the file was opened."""
        return self._revocations

    async def stop(self) -> None:
        """Write what was accepted, then close the file."""
        while self._writer is not None:
            await self._writer
        await self._in_thread(self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    # ── writing ──

    async def publish(self, messages: Sequence[Message]) -> list[Published | Unavailable]:
        """Join the next transaction and wait for its commit."""
        if self._waiting_count + len(messages) > self._max_waiting:
            refusal = Unavailable(f"{self._waiting_count} messages wait for the disk already; try again")
            return [refusal for _ in messages]
        waiting = _Waiting(messages, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._waiting_count += len(messages)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        return await waiting.done

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                taken, self._waiting = self._waiting, []
                await self._write(taken)
                if self._tidy_is_due:
                    await self._tidy()
        finally:
            self._writer = None

    async def _write(self, taken: list[_Waiting]) -> None:
        batch = Batch(self.journal, self._clock.now())
        results: list[list[Published | Unavailable]] = [[batch.add(m) for m in w.messages] for w in taken]
        try:
            await self._in_thread(self._insert, batch.entries)
            self.trouble = None
        except (sqlite3.Error, OSError, ValueError) as error:
            self.trouble = f"the log cannot be written: {_explain(error)}"
            refusal = Unavailable(self.trouble)
            results = [[refusal for _ in one] for one in results]
            batch.entries.clear()
        for entry in batch.entries:
            self.journal.append(entry)
        for waiting, result in zip(taken, results, strict=True):
            self._waiting_count -= len(waiting.messages)
            if not waiting.done.done():  # the caller may have gone; its messages were published all the same
                waiting.done.set_result(result)
        self._deliver(batch.entries)

    def _deliver(self, entries: list[Entry]) -> None:
        try:
            self._notify(entries)
        except Exception:  # noqa: BLE001 - it must not raise; if it does, those who wait for the disk must not pay for it
            _log.exception("delivery.failed", publications=len(entries))

    def _notify(self, entries: list[Entry]) -> None:
        if self._listener is not None and entries:
            self._listener.on_published(entries)

    def _insert(self, entries: list[Entry]) -> None:
        if not entries:
            return
        self._transaction(
            (
                "insert into publication values (?, ?, ?, ?, ?, ?, ?)",
                [(e.seq, e.channel, e.position.epoch, e.position.offset, e.at, e.id, e.frame) for e in entries],
            ),
            (
                "insert into channel values (?1, ?2, ?3, ?4, ?5, 0) on conflict (name) do update "
                "set epoch = ?2, top = ?3, last_seq = ?4, last_at = ?5",
                [
                    (e.channel, e.position.epoch, e.position.offset, e.seq, e.at)
                    for e in {e.channel: e for e in entries}.values()
                ],
            ),
            (
                "insert or replace into sent_id values (?, ?, ?, ?, ?)",
                [(e.channel, e.id, e.position.epoch, e.position.offset, e.at) for e in entries if e.has_sender_id],
            ),
            ("update journal set seq = ?", [(entries[-1].seq,)]),
        )

    async def revoke(self, revocation: Revocation) -> None:
        """Write a revocation. Raises Unavailable."""
        row = (revocation.user, revocation.session_id, revocation.channel, revocation.at)
        try:
            await self._in_thread(self._transaction, ("insert into revocation values (?, ?, ?, ?)", [row]))
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"the revocation cannot be written: {_explain(error)}") from error

    async def tidy(self) -> None:
        """Apply retention to the journal, then to the file. A failure is tried again with the next call."""
        if self._writer is None:
            await self._tidy()
        else:
            # A batch is on its way and its positions are taken: no channel may be forgotten before it is written.
            self._tidy_is_due = True

    async def _tidy(self) -> None:
        self._tidy_is_due = False
        now = self._clock.now()
        self.journal.sweep(now)
        evicted, forgotten = self.journal.take_dropped()
        if not evicted and not forgotten and self.trouble is None:
            return
        lost = {channel: seq for seq, channel in sorted(evicted.items())}
        try:
            await self._in_thread(
                self._transaction,
                ("delete from publication where seq = ?", [(seq,) for seq in evicted]),
                (
                    "update channel set lost_seq = ? where name = ?",
                    [(seq, name) for name, seq in lost.items()],
                ),
                ("delete from channel where name = ?", [(name,) for name in forgotten]),
                (
                    "update journal set generation = ?, forgotten_seq = ?",
                    [(self.journal.generation, self.journal.forgotten_seq)],
                ),
                ("delete from sent_id where at < ?", [(now - self._idempotency_window_s,)]),
                ("delete from revocation where at < ?", [(now - self._revocation_keep_s,)]),
            )
            self.trouble = None
        except (sqlite3.Error, OSError) as error:
            self.trouble = f"the log cannot be written: {_explain(error)}"
            self.journal.evicted.update(evicted)
            self.journal.forgotten += forgotten

    def _transaction(self, *statements: tuple[str, Sequence[tuple[object, ...]]]) -> None:
        if self._db is None:
            raise sqlite3.OperationalError("the file is closed")
        self._db.execute("begin immediate")
        try:
            for sql, rows in statements:
                self._db.executemany(sql, rows)
            self._db.execute("commit")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise

    async def _in_thread(self, work: Callable[..., None], *args: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)


def _explain(error: BaseException) -> str:
    """Add to SQLite's words what a person can do."""
    text = str(error)
    hints = {
        "locked": "another apex-rtm server uses this data_dir; give each its own",
        "disk is full": "free some room; publishing goes on by itself",
        "readonly": "the server's user needs write access",
        "not a database": "move the file away, or restore a backup",
        "malformed": "move the file away, or restore a backup",
    }
    hint = next((hint for words, hint in hints.items() if words in text), None)
    return f"{text} ({hint})" if hint else text
