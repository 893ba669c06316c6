"""The whole server without sockets, threads and real time: engine, hub and sessions over recording peers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from apex_rtm.authorize import Authorizer
from apex_rtm.counts import Counts
from apex_rtm.engine.base import Engine
from apex_rtm.engine.journal import ENTRY_OVERHEAD_BYTES, Entry, Journal, Retention
from apex_rtm.engine.memory import MemoryEngine
from apex_rtm.fanout import Fanout
from apex_rtm.hub import Hub
from apex_rtm.limits import ConnectionQuota
from apex_rtm.message import Message, Position, Published
from apex_rtm.presence import Presence
from apex_rtm.protocol import publication_frame
from apex_rtm.registry import Registry
from apex_rtm.revocations import Revocations
from apex_rtm.session import Session
from apex_rtm.surroundings import SessionLimits, Surroundings
from apex_rtm.tokens import TokenVerifier
from tests.support.clock import FakeClock
from tests.support.peer import RecordingPeer
from tests.support.server import API_KEY, JWT_SECRET

MAX_TTL_S = 86_400.0


def make_message(channel: str, payload: Any = None, *, message_id: str | None = None, **members: Any) -> Message:
    """One message as `decode_message` gives it."""
    return Message(channel=channel, payload=msgspec.Raw(json.dumps(payload).encode()), id=message_id, **members)


def make_journal(
    *, size: int = 1000, ttl_s: float = 3600, max_bytes: int = 1 << 24, channel_ttl_s: float = 86_400,
    idempotency_window_s: float = 300, max_channels: int = 1000, idempotency_max_ids: int = 1000,
    sizes: Mapping[str, int] = MappingProxyType({}),
) -> Journal:  # fmt: skip
    """An empty journal; every channel has the same retention, but for those in `sizes`."""
    return Journal(
        retention=lambda channel: Retention(sizes.get(channel, size), ttl_s),
        max_bytes=max_bytes,
        channel_ttl_s=channel_ttl_s,
        idempotency_window_s=idempotency_window_s,
        max_channels=max_channels,
        idempotency_max_ids=idempotency_max_ids,
    )


def add_to_journal(journal: Journal, channel: str, at: float = 0.0, message_id: str | None = None) -> Entry:
    """Append one publication to a journal that has no engine."""
    top = journal.top(channel)
    position = Position(top.epoch, top.offset + 1)
    frame = publication_frame(make_message(channel), message_id or "id", position)
    entry = Entry(journal.seq + 1, channel, position, at, frame, message_id or "id", message_id is not None)
    journal.append(entry)
    return entry


def size_of(entries: Iterable[Entry]) -> int:
    """What a journal says that it takes for these."""
    return sum(len(entry.frame) + ENTRY_OVERHEAD_BYTES for entry in entries)


class Core:
    """A server in open mode, or in secured mode. Channels that start with `chat:` have presence."""

    def __init__(
        self, *, secured: bool = False, engine: Engine | None = None, clock: FakeClock | None = None,
        channels_per_connection: int = 100, per_user: int = 0, max_names: int = 50, connect_timeout_s: float = 10,
        ping_interval_s: float = 25,
        **journal: Any,
    ) -> None:  # fmt: skip
        # Tokens are verified against the machine's clock, so that is where this one starts.
        self.clock = clock or FakeClock(float(int(time.time())))
        self.engine: Engine = engine or MemoryEngine(make_journal(**journal), self.clock)
        self.revocations = Revocations(keep_s=MAX_TTL_S)
        self.journal = self.engine.journal
        registry = Registry()
        self.timers: list[Callable[[], None]] = []
        self.fanout = Fanout(registry, Counts(), self.clock.monotonic, lambda _delay_s, work: self.timers.append(work))
        self.hub = Hub(self.engine, self.revocations, Presence(max_names=max_names), registry, self.fanout)
        self.verifier = TokenVerifier(JWT_SECRET, max_ttl_s=MAX_TTL_S, leeway_s=5, clock=self.clock)
        keys, verifier = ([API_KEY], self.verifier) if secured else ([], None)
        self.authorizer = Authorizer(keys, verifier, self.revocations)
        self.quota = ConnectionQuota(total=0, per_ip=0, per_user=per_user)
        limits = SessionLimits(
            max_channels=channels_per_connection, connect_timeout_s=connect_timeout_s, ping_interval_s=ping_interval_s,
            token_warning_s=60, has_presence=lambda channel: channel.startswith("chat:"),
        )  # fmt: skip
        self.around = Surroundings(self.hub, self.authorizer, self.quota, limits, self.clock)

    async def start(self) -> Core:
        """Begin to deliver."""
        await self.engine.start(self.hub)
        return self

    async def publish(self, channel: str, payload: Any = None, **members: Any) -> Published:
        """Publish one message; fails where the engine cannot take it."""
        (result,) = await self.engine.publish([make_message(channel, payload, **members)])
        assert isinstance(result, Published), result
        return result

    def open(self, *, old_listener: list[str] | None = None) -> Client:
        """A new connection that has said nothing yet."""
        return Client(self, old_listener)

    def connect(self, user: str, *channels: str, ttl_s: float = 3600, session_id: str | None = None) -> Client:
        """A connection with a token of `user` for `channels`."""
        client = self.open()
        client.say(type="connect", token=self.token(user, *channels, ttl_s=ttl_s, session_id=session_id))
        answer = client.peer.take_one()
        assert answer["type"] == "connected", answer
        return client

    def token(self, user: str, *channels: str, ttl_s: float = 3600, session_id: str | None = None) -> str:
        """Sign a token at the time of this server's clock."""
        return self.verifier.mint(user, session_id, channels, ttl_s)[0]

    def pass_time(self, seconds: float) -> None:
        """Let time pass, second by second, as the server's clockwork does."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.hub.tick(self.clock.monotonic())


class Client:
    """One session and its peer."""

    def __init__(self, core: Core, old_listener: list[str] | None = None) -> None:
        self.peer = RecordingPeer()
        self.session = Session(core.around, self.peer)
        self.session.on_open(old_listener)

    def say(self, **command: Any) -> None:
        """Send one frame, as the edge hands it over."""
        self.session.on_heard()
        self.session.on_text(json.dumps(command).encode())

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send one frame and take the one frame that answers it."""
        assert self.peer.take() == []
        self.say(**command)
        return self.peer.take_one()

    def subscribe(self, channel: str, **members: Any) -> dict[str, Any]:
        """Subscribe and return the answer; what is replayed stays with the peer."""
        self.say(type="subscribe", channel=channel, **members)
        answer = self.peer.frames.pop(0)
        assert answer["type"] == "subscribed", answer
        return answer

    def overflows_after(self, frames: int) -> None:
        """Let the peer stand still, and be too far behind after so many more frames."""
        self.peer.room, self.peer.on_full = frames, self.session.on_stalled

    def read_on(self, room: int | None = None) -> None:
        """Let a peer that stood still read again."""
        self.peer.room = room
        self.session.on_writable()
