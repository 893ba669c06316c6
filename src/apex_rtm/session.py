"""One client's conversation: connect, subscribe, recover, refresh. Sans-I/O: eats frames, talks to a `Peer`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from apex_rtm import codes
from apex_rtm.arrival import Arrival
from apex_rtm.channels import Pattern, parse_pattern
from apex_rtm.codes import Close
from apex_rtm.errors import Refused, RtmError, Unavailable
from apex_rtm.message import Position
from apex_rtm.peer import Peer
from apex_rtm.protocol import Command, decode_command, error_frame, reply_frame
from apex_rtm.subscriptions import Subscription, Subscriptions
from apex_rtm.surroundings import Surroundings
from apex_rtm.tokens import ANYBODY, Identity

COMMANDS: Final = ("connect", "subscribe", "unsubscribe", "refresh", "ping")


class Session:
    """The state of one connection. `identity` is None until `connect` in secured mode."""

    __slots__ = (
        "_around", "_due_at", "_following", "_heard_at", "_implicit", "_pinged_at", "_subscriptions",
        "_warned", "arrival", "connected_at", "ended", "id", "identity", "opened_at", "peer", "send",
    )  # fmt: skip

    def __init__(self, around: Surroundings, peer: Peer) -> None:
        self._around = around
        self.peer = peer
        now = around.clock.monotonic()
        self._heard_at = self.opened_at = now
        self._pinged_at = self._due_at = now
        self._implicit = self._following = False
        self._warned = False
        self.id = secrets.token_urlsafe(9)
        self.identity: Identity | None = ANYBODY if around.authorizer.is_open else None
        self._subscriptions = Subscriptions(around.hub, peer)
        self.connected_at = around.clock.now()
        self.ended = False
        self.arrival = Arrival()
        self.send: Callable[[bytes], None] = peer.send  # the peer's own method: one call less for each delivery

    # ── what the edge calls ──

    def on_open(self, old_listener_channels: list[str] | None) -> None:
        """Begin. An old listener (no subprotocol) gets everything, or the channels its URL names, in open mode only."""
        self._around.hub.enter(self)
        limits = self._around.limits
        first = limits.ping_interval_s if self.identity else min(limits.connect_timeout_s, limits.ping_interval_s)
        self._wake(self.opened_at + first)
        if old_listener_channels is not None and self._around.authorizer.is_open:
            self._follow_implicitly(old_listener_channels)

    @property
    def is_busy(self) -> bool:
        """True while a replay waits for a slow peer, or the log for another machine: no command may be handled then."""
        return self._following or self._subscriptions.joining is not None

    def on_text(self, text: bytes) -> None:
        """Handle one frame of the client."""
        if self._implicit:
            self._end_implicit()
        command = Command()
        try:
            command = decode_command(text)
            self._handle(command)
        except Refused as refused:
            self._refuse(refused, command)

    def on_binary(self, _data: bytes) -> None:
        """Nothing in this protocol is binary."""
        self.end(codes.BINARY)

    def on_stalled(self) -> None:
        """The peer does not read: too much waits for it, or it has stood still for too long."""
        self._around.hub.counts.closed_slow += 1
        self.end(codes.SLOW)

    def on_heard(self) -> None:
        """Note that the peer is there: a pong, a ping, anything."""
        self._heard_at = self._around.clock.monotonic()

    def on_pong(self, payload: bytes) -> None:
        """Note how far the peer has come."""
        self.arrival.on_pong(payload)

    def on_writable(self) -> None:
        """Go on with a replay that waited for the peer. It has read, so it is there."""
        self.on_heard()
        if self._subscriptions.joining is not None:
            self._replay(self._subscriptions.joining)

    def on_time(self, now: float) -> None:
        """Look at the clocks: connect in time, silence, the end of the token, the next ping."""
        if self.ended or now < self._due_at:  # a wake-up that was overtaken by an earlier one ends here
            return
        limits = self._around.limits
        if self.identity is None:
            if now >= self.opened_at + limits.connect_timeout_s:
                self.end(codes.CONNECT_TIMEOUT, "unauthorized", "no connect in time (connect_timeout_s)")
            else:
                self._wake(self.opened_at + limits.connect_timeout_s)
            return
        # While the peer does not read, its pongs cannot be expected either: the edge watches over that time.
        is_unanswered = self._pinged_at > self._heard_at and now >= self._pinged_at + limits.ping_interval_s
        if self.peer.writable and is_unanswered:
            self.end(codes.IDLE)
            return
        next_look = now + limits.ping_interval_s
        if self.identity.expires_at is not None:
            left_s = self.identity.expires_at - self._around.clock.now()
            if left_s <= 0:
                self.end(codes.TOKEN_EXPIRED, "token_expired", "the token has expired")
                return
            if left_s <= limits.token_warning_s and not self._warned:
                self._warned = True
                self.send(reply_frame("expiring", expiresAt=int(self.identity.expires_at)))
            warning_in_s = left_s if self._warned else left_s - limits.token_warning_s
            next_look = min(next_look, now + max(warning_in_s, 0.0))
        if now >= self._pinged_at + limits.ping_interval_s:
            self._pinged_at = now
            self.ask_arrival()
        self._wake(next_look)

    def _wake(self, at: float) -> None:
        self._due_at = at
        self._around.hub.wake(self, at)

    def ask_arrival(self) -> None:
        """Send a ping whose answer proves what has arrived; during a replay only that somebody is there."""
        self.send(self.arrival.ask(0 if self.is_busy else self._around.hub.fanout.written_seq))

    def on_closed(self) -> None:
        """End: nothing is delivered any more."""
        if self.ended:
            return
        self.ended = True
        for name in list(self.subscriptions):
            self._remove(name)
        if self.identity is not None and self.identity.user is not None:
            self._around.quota.leave_user(self.identity.user)
        self._around.hub.leave(self)

    # ── what the hub calls ──

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """What this connection gets, by the names that the client used."""
        return self._subscriptions.by_name

    @property
    def ip(self) -> str:
        """The client's address."""
        return self.peer.ip

    @property
    def waiting_bytes(self) -> int:
        """What was sent and the kernel has not taken yet."""
        return self.peer.waiting_bytes

    def is_live(self, name: str) -> bool:
        """Tell whether a subscription delivers at once; False while a replay has yet to come to the present."""
        return self._subscriptions.is_live(name)

    def end(self, close: Close, code: str | None = None, message: str = "") -> None:
        """Say why, then close; nothing is delivered after it."""
        self._around.hub.fanout.flush()
        if code is not None:
            self.send(error_frame(code, message))
        self.on_closed()
        self.peer.close(close)

    def drop_channel(self, channel: str) -> int:
        """End every subscription through which `channel` would arrive; return how many."""
        names = [name for name, s in self.subscriptions.items() if s.pattern.matches(channel)]
        for name in names:
            if self.ended:  # the frame before was too much for a peer that does not read
                break
            self._remove(name)
            self.send(reply_frame("unsubscribed", channel=name, code="revoked"))
        return len(names)

    # ── commands ──

    def _handle(self, command: Command) -> None:
        match command.type:
            case "ping":
                self.send(reply_frame("pong", command.id))
            case "connect":
                self._connect(command)
            case "subscribe":
                self._subscribe(command)
            case "unsubscribe":
                self._unsubscribe(command)
            case "refresh":
                self._refresh(command)
            case None:
                raise Refused("bad_request", f"type is missing, it must be one of {', '.join(COMMANDS)}")
            case other:
                raise Refused("bad_request", f"unknown type {other[:40]!r}, it must be one of {', '.join(COMMANDS)}")

    def _connect(self, command: Command) -> None:
        around = self._around
        is_operator = around.authorizer.is_open and not self.subscriptions and around.authorizer.is_pass(command.token)
        if self.identity is None or is_operator:
            identity = self._identify(command)
            if identity is None:
                return
            if identity.is_operator:
                around.hub.operators[self] = None
            if identity.user is not None:
                try:
                    around.quota.enter_user(identity.user)
                except Refused as refused:
                    self._refuse(refused, command)
                    self.end(codes.LIMIT_EXCEEDED)
                    return
            self.identity = identity
            self._wake(around.clock.monotonic())
        elif not around.authorizer.is_open:
            raise Refused("bad_request", "already connected; a new token goes into refresh")
        self.send(
            reply_frame(
                "connected",
                command.id,
                connection=self.id,
                user=self.identity.user,
                channels=self.identity.channel_names,
                expiresAt=None if self.identity.expires_at is None else int(self.identity.expires_at),
                pingIntervalS=around.limits.ping_interval_s,
            )
        )

    def _identify(self, command: Command) -> Identity | None:
        """Read the tokens of a command, or say what is wrong with one and close."""
        closes = {"token_expired": codes.TOKEN_EXPIRED, "revoked": codes.REVOKED}
        try:
            return self._around.authorizer.identify(*(command.tokens or (command.token,)))
        except Refused as refused:
            self._refuse(refused, command)
            self.end(closes.get(refused.code, codes.UNAUTHORIZED))
            return None

    def _refuse(self, refused: Refused, command: Command) -> None:
        self._around.hub.counts.refusals["websocket", refused.code] += 1
        self.send(error_frame(refused.code, refused.message, command.id))

    def _refresh(self, command: Command) -> None:
        before = self._connected()
        identity = self._identify(command)
        if identity is None:
            return
        if (identity.user, identity.session_id) != (before.user, before.session_id):
            raise Refused("forbidden", "refresh needs a token of the same user and session")
        self.identity = identity
        self._warned = False
        self._wake(self._around.clock.monotonic())
        self.send(
            reply_frame(
                "refreshed",
                command.id,
                expiresAt=None if identity.expires_at is None else int(identity.expires_at),
                channels=identity.channel_names,
            )
        )
        for name in list(self.subscriptions):
            try:
                self._around.authorizer.check_subscribe(identity, name)
            except Refused as refused:
                if self.ended:
                    return
                self._remove(name)
                self.send(reply_frame("unsubscribed", channel=name, code=refused.code))

    def _connected(self) -> Identity:
        if self.identity is None:
            raise Refused("unauthorized", "connect with a token first")
        return self.identity

    def _subscribe(self, command: Command) -> None:
        pattern = self._check_subscribe(command)
        since = Position(command.since.epoch, command.since.offset) if command.since else None
        if self._around.hub.follow(pattern, since, partial(self._on_followed, command, pattern)):
            self._begin(command, pattern)
        else:
            self._following = True

    def _on_followed(self, command: Command, pattern: Pattern, trouble: Unavailable | None) -> None:
        """Go on with a subscription that waited for the log: rights may have ended meanwhile, or the connection."""
        self._following = False
        if self.ended:
            self._around.hub.unfollow(pattern)
            return
        try:
            if trouble is not None:
                raise trouble
            pattern = self._check_subscribe(command)
        except RtmError as refused:
            self._around.hub.unfollow(pattern)
            self.send(error_frame(refused.code, refused.message, command.id))
        else:
            self._begin(command, pattern)
        self.peer.take_up()

    def _check_subscribe(self, command: Command) -> Pattern:
        """Raise Refused unless this connection may have the subscription."""
        identity = self._connected()
        pattern = self._around.authorizer.check_subscribe(identity, command.channel)
        if command.channel in self.subscriptions:
            raise Refused("already_subscribed", f"this connection has {command.channel[:100]!r} already")
        if len(self.subscriptions) >= self._around.limits.max_channels:
            limit = self._around.limits.max_channels
            raise Refused("limit_exceeded", f"a connection has at most {limit} channels (max_channels_per_connection)")
        if _wants_presence(command, pattern) and not self._around.limits.has_presence(command.channel):
            raise Refused("forbidden", "this channel's namespace has no presence")
        return pattern

    def _begin(self, command: Command, pattern: Pattern) -> None:
        self._around.hub.fanout.flush()  # what is in the log by now counts as delivered to the others
        if self.ended:  # by what was just written: the peer does not read
            self._around.hub.unfollow(pattern)
            return
        subscription = self._add(pattern)
        recovered = command.since is not None and self._subscriptions.recover(subscription, command.since)
        members = self._subscribed_members(
            subscription, recovered=recovered, presence=_wants_presence(command, pattern)
        )
        self.send(reply_frame("subscribed", command.id, **members))
        if self.ended:  # by this very frame, when the peer does not read: going live would never be undone
            return
        if recovered:
            self._replay(subscription)
        else:
            self._subscriptions.go_live(subscription, self)

    def _replay(self, subscription: Subscription) -> None:
        if not self._subscriptions.replay(subscription, self):
            # Retention overtook a slow reader: the promise of `recovered: true` cannot be kept.
            self.on_stalled()

    def _subscribed_members(self, subscription: Subscription, *, recovered: bool, presence: bool) -> dict[str, object]:
        epoch, offset = subscription.cursor
        members: dict[str, object] = {
            "channel": subscription.pattern.text, "epoch": epoch, "offset": offset, "recovered": recovered
        }  # fmt: skip
        if presence:
            members["presence"] = self._around.hub.presence.watch(subscription.pattern.stem, self)
        return members

    def _unsubscribe(self, command: Command) -> None:
        self._connected()
        if command.channel not in self.subscriptions:
            raise Refused("not_found", f"this connection has no {command.channel[:100]!r}")
        self._remove(command.channel)
        self.send(reply_frame("unsubscribed", command.id, channel=command.channel, code="client"))

    # ── subscriptions ──

    def _add(self, pattern: Pattern) -> Subscription:
        if self._counts_for_presence(pattern):
            self._around.hub.presence.join(pattern.stem, self.identity.user if self.identity else None)
        return self._subscriptions.add(pattern)

    def _remove(self, name: str) -> None:
        pattern = self._subscriptions.remove(name, self)
        if self._counts_for_presence(pattern):
            user = self.identity.user if self.identity else None
            self._around.hub.presence.leave(pattern.stem, user, self)

    def _counts_for_presence(self, pattern: Pattern) -> bool:
        if self.identity is not None and self.identity.is_operator:  # who looks on is not there
            return False
        return not pattern.is_prefix and self._around.limits.has_presence(pattern.stem)

    def _follow_implicitly(self, channels: list[str]) -> None:
        self._implicit = True
        try:
            for channel in list(dict.fromkeys(channels or ["*"]))[: self._around.limits.max_channels]:
                pattern = parse_pattern(channel)
                self._around.hub.follow(pattern, None, lambda _: None)  # it knows of no waiting
                self._subscriptions.go_live(self._add(pattern), self)
        except Refused as refused:
            self.send(error_frame(refused.code, refused.message))

    def _end_implicit(self) -> None:
        self._implicit = False
        while self.subscriptions:  # what waits is written first, and that may end the connection with all of them
            self._remove(next(iter(self.subscriptions)))


def _wants_presence(command: Command, pattern: Pattern) -> bool:
    return command.presence and not pattern.is_prefix
