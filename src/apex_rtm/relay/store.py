"""What the relay asks of a database. `tests/relay/test_contract.py` runs on every implementation.

`oracle.py` is the product's. The tests have one on PostgreSQL, and a fake one that breaks on command.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from apex_rtm.relay.row import Row


class StoreFault(Exception):
    """The database is not there, was lost, or refuses. Whether a commit in flight was done is not known.

    `is_login` marks a refused login: repeated at the usual pace, it would lock the account.
    """

    def __init__(self, text: str, *, is_login: bool = False) -> None:
        super().__init__(text)
        self.is_login = is_login


class Turn(NamedTuple):
    """The right to send, and how the last tries went: failures in a row, and seconds until the next try."""

    failures: int
    resume_in_s: float


class Sent(NamedTuple):
    """A row that the server has taken, and where."""

    row_id: int
    epoch: str
    offset: int


class Refusal(NamedTuple):
    """A row that the server does not take: parked, or tried again in `wait_s` seconds."""

    row_id: int
    attempts: int
    is_parked: bool
    wait_s: float
    error: str


class OutboxStore(Protocol):
    """One session with the outbox. Every method but `close` raises StoreFault; after that only `close` is called.

    What the relay builds on:

    * Between `take_turn` and `commit` no other sender has the turn, and nobody else marks rows. The turn ends with the
      transaction or with the session: two senders at once would send a channel's later message first.
    * `fetch` sees every row that is committed before the turn was taken, in the order of ids, and no other. It
      keeps no place of its own: the row of a transaction that commits late may have a lower id than any sent before.
    * Times are those of the database's clock, as differences: the relay's own clock decides nothing here.
    * Marks and notes exist after `commit`, all or none.
    """

    async def open(self) -> None:
        """Connect. A database that does not answer is given up after a while, never waited for without end."""
        ...

    async def has_due(self) -> bool:
        """Tell, without a lock or a transaction, whether there may be something to send."""
        ...

    async def take_turn(self) -> Turn | None:
        """Begin a transaction and take the turn, without waiting; None when another sender has it."""
        ...

    async def fetch(self, limit: int) -> list[Row]:
        """Lock and return at most `limit` rows that are due, oldest first."""
        ...

    async def mark_sent(self, sent: Sequence[Sent]) -> None:
        """Note where the server put each row."""
        ...

    async def mark_refused(self, refusals: Sequence[Refusal]) -> None:
        """Note what the server did not want."""
        ...

    async def note_success(self) -> None:
        """Note that sending works."""
        ...

    async def note_failure(self, failures: int, wait_s: float, error: str) -> None:
        """Note that it does not, and that no sender shall try again within `wait_s` seconds."""
        ...

    async def commit(self) -> None:
        """End the transaction; the turn goes with it."""
        ...

    @property
    def is_woken(self) -> bool:
        """Tell whether `wait_for_wake` learns of commits from the database, so that polling is a precaution only."""
        ...

    async def wait_for_wake(self, timeout_s: float) -> None:
        """Return when rows may have been committed, or after `timeout_s`. May be cancelled without harm."""
        ...

    async def close(self) -> None:
        """Leave; an open transaction is rolled back. Never raises and returns within seconds."""
        ...
