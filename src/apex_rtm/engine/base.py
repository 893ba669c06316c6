"""What every engine promises. The contract suite `tests/engine/test_contract.py` runs on each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from apex_rtm.channels import Pattern
from apex_rtm.engine.journal import Entry, Journal
from apex_rtm.errors import Unavailable
from apex_rtm.message import Message, Position, Published
from apex_rtm.revocations import Revocation


class Answers(NamedTuple):
    """What other nodes answered; fewer than were asked where one did not in time."""

    answers: list[bytes]
    asked: int


class EngineListener(Protocol):
    """What an engine calls back. It never learns who subscribes."""

    def on_published(self, entries: Sequence[Entry]) -> None:
        """Deliver `entries`, already in the journal, in journal order. Must not raise and must not block."""
        ...

    def on_lost(self, channel: str | None) -> None:
        """Send everybody who gets `channel` away to recover: publications may be missing in the journal of this node.

        None: so they may for whoever gets channels by prefix.
        """
        ...

    def on_question(self, question: bytes) -> bytes:
        """Answer what another node asks with `Engine.ask_others`. Must not raise."""
        ...

    def on_revoked(self, revocation: Revocation) -> None:
        """Put a revocation into force that another node was told. It may be known already."""
        ...

    def on_attendance(self, channel: str, node: str, connections: int, users: Mapping[str, int]) -> None:
        """Note who is on a followed channel through another node, in place of what was known of that node."""
        ...

    def on_node_gone(self, node: str) -> None:
        """Count out whoever was there through another node."""
        ...

    def on_unfollowed(self, channel: str) -> None:
        """Forget who is on a channel elsewhere: nothing more is heard of it."""
        ...


class Engine(Protocol):
    """Orders publications and keeps them.

    Guarantees, which the rest of the server builds on:

    * A result of `publish` means: the publication is in the journal, and as durable as this engine gets.
      `Unavailable` means: nothing of that message was kept or delivered, and a later attempt may be made.
    * Offsets of a channel are 1, 2, 3 … without holes. `on_published` sees each publication once, in journal order,
      after it is durable: were it seen earlier, a crash could hand the same offset to another message, and a
      client that recovers from it would miss that one silently.
    * A message with an `id` seen in its channel within the idempotency window is answered with the first result.
    * `journal` holds what was published and answers reads at once, without input or output: replay and live
      delivery meet without a gap because nothing can happen between reading and subscribing.
    * Where several nodes write one log (`is_shared`), the journal of a node holds what somebody on it follows: the
      guarantees above hold for followed channels. What the node cannot know to be whole it says with `on_lost`.
    """

    @property
    def is_shared(self) -> bool:
        """Whether other nodes publish too. Then the journal's order is this node's own, and no wildcard recovers."""
        ...

    @property
    def journal(self) -> Journal:
        """The log that recovery reads from."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the last write failed, or None while all is well. Shown by /health/ready."""
        ...

    async def start(self, listener: EngineListener) -> None:
        """Open the store and load the journal. Raises ConfigurationError when the store cannot be used."""
        ...

    async def publish(self, messages: Sequence[Message]) -> list[Published | Unavailable]:
        """Append in order; one result a message. Messages that come together are made durable together.

        It may run outside of a task until it waits for something, and so without `asyncio.timeout` until then.
        """
        ...

    def follow(self, pattern: Pattern, since: Position | None, then: Callable[[Unavailable | None], None]) -> bool:
        """Keep the journal up to date for `pattern` until `unfollow`, which must follow on every call of this one.

        True: the journal is ready to be read now, and `then` is not called. Otherwise `then` is called once: with None
        when it is ready and holds whatever came after `since` and is still kept anywhere, or with the reason
        why that cannot be told in time. Also after the latter the pattern is followed as soon as that is possible.
        """
        ...

    def unfollow(self, pattern: Pattern) -> None:
        """Take back one `follow`."""
        ...

    async def ask_others(self, question: bytes) -> Answers:
        """Ask all other nodes, and wait for about a second. Never raises."""
        ...

    def tell_attendance(self, channel: str, connections: int, users: Mapping[str, int]) -> None:
        """Tell the other nodes who is on a channel through this one, in place of what they were told before."""
        ...

    async def revoke(self, revocation: Revocation) -> None:
        """Remember a revocation for as long as an older token could live. Raises Unavailable."""
        ...

    def revocations(self) -> Sequence[Revocation]:
        """All revocations known when the engine started."""
        ...

    async def tidy(self) -> None:
        """Drop what retention no longer wants. Called about once a second; does a bounded amount of work."""
        ...

    async def stop(self) -> None:
        """Finish what was accepted, then close the store."""
        ...
