"""Who is on a channel, and telling the others in few words: changes are gathered and sent once per interval.

Where several nodes share the log, each counts its own connections and is told the numbers of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from apex_rtm.protocol import reply_frame

if TYPE_CHECKING:
    from apex_rtm.session import Session


class Attendance:
    """Who is on one channel, and what the watchers have not been told yet.

    `connections` and `users` count everybody; `own`, `own_users` those of this node, `elsewhere` those of the others.
    """

    __slots__ = ("connections", "dirty", "elsewhere", "own", "own_users", "told_users", "users", "watchers")

    def __init__(self) -> None:
        self.connections = 0
        self.users: Counter[str] = Counter()
        self.own = 0
        self.own_users: Counter[str] = Counter()
        self.elsewhere: dict[str, tuple[int, Mapping[str, int]]] = {}
        self.watchers: dict[Session, None] = {}
        self.told_users: set[str] | None = None
        self.dirty = False

    def summary(self) -> dict[str, Any]:
        """Connections in total and by user: `{"connections": 3, "users": {"SCOTT": 2}}`."""
        return {"connections": self.connections, "users": dict(self.users)}

    def count(self, connections: int, users: Mapping[str, int]) -> None:
        """Add to everybody, or take away."""
        self.connections += connections
        for user, number in users.items():
            self.users[user] += number
            if not self.users[user]:
                del self.users[user]


class Presence:
    """Attendance of every channel that has subscribers and whose namespace wants it."""

    def __init__(self, *, max_names: int) -> None:
        self.tell: Callable[[str, int, Mapping[str, int]], None] | None = None
        self._max_names = max_names
        self._channels: dict[str, Attendance] = {}
        self._dirty: list[str] = []
        self._untold: dict[str, None] = {}

    def join(self, channel: str, user: str | None) -> None:
        """Count a subscription in."""
        self._count_own(channel, self._open(channel), 1, user)

    def leave(self, channel: str, user: str | None, session: Session) -> None:
        """Count a subscription out; a watcher that leaves watches no longer."""
        attendance = self._channels.get(channel)
        if attendance is None or not attendance.own:
            return
        attendance.watchers.pop(session, None)
        self._count_own(channel, attendance, -1, user)
        self._close(channel, attendance)

    def _open(self, channel: str) -> Attendance:
        attendance = self._channels.get(channel)
        if attendance is None:
            attendance = self._channels[channel] = Attendance()
        return attendance

    def _close(self, channel: str, attendance: Attendance) -> None:
        if not attendance.own and not attendance.elsewhere:
            self._channels.pop(channel, None)

    def _count_own(self, channel: str, attendance: Attendance, number: int, user: str | None) -> None:
        self._note(channel, attendance)
        users = {} if user is None else {user: number}
        attendance.count(number, users)
        attendance.own += number
        if user is not None:
            attendance.own_users[user] += number
            if not attendance.own_users[user]:
                del attendance.own_users[user]
        if self.tell is not None:
            self._untold[channel] = None

    # ── other nodes ──

    def set_elsewhere(self, channel: str, node: str, connections: int, users: Mapping[str, int]) -> None:
        """Replace what is known of another node; no connections take it away."""
        attendance = self._open(channel)
        if attendance.elsewhere.get(node, (0, {})) != (connections, users):
            self._note(channel, attendance)
            before, before_users = attendance.elsewhere.pop(node, (0, {}))
            attendance.count(-before, {user: -number for user, number in before_users.items()})
            attendance.count(connections, users)
            if connections:
                attendance.elsewhere[node] = (connections, users)
        self._close(channel, attendance)

    def drop_node(self, node: str) -> None:
        """Count out whoever was there through a node that is gone."""
        for channel in [name for name, attendance in self._channels.items() if node in attendance.elsewhere]:
            self.set_elsewhere(channel, node, 0, {})

    def forget_elsewhere(self, channel: str) -> None:
        """Count this node only: nothing is heard of the others any more."""
        attendance = self._channels.get(channel)
        for node in list(attendance.elsewhere) if attendance is not None else ():
            self.set_elsewhere(channel, node, 0, {})

    # ── telling ──

    def watch(self, channel: str, session: Session) -> dict[str, Any]:
        """Send changes to `session` from now on; return who is there."""
        attendance = self._channels[channel]
        attendance.watchers[session] = None
        return attendance.summary()

    def _note(self, channel: str, attendance: Attendance) -> None:
        if not attendance.dirty:
            attendance.dirty = True
            attendance.told_users = set(attendance.users)
            self._dirty.append(channel)

    def flush(self) -> None:
        """Tell the watchers what changed since the last flush: one frame a channel, however many came and went."""
        dirty, self._dirty = self._dirty, []
        for channel in dirty:
            attendance = self._channels.get(channel)
            if attendance is None or not attendance.dirty:
                continue
            attendance.dirty = False
            before, attendance.told_users = attendance.told_users or set(), None
            if not attendance.watchers:
                continue
            frame = self._frame(channel, attendance, before)
            for session in tuple(attendance.watchers):
                session.send(frame)
        untold, self._untold = self._untold, {}
        for channel in untold:
            if self.tell is not None:
                attendance = self._channels.get(channel) or Attendance()
                self.tell(channel, attendance.own, dict(attendance.own_users))

    def _frame(self, channel: str, attendance: Attendance, before: set[str]) -> bytes:
        joined = [user for user in attendance.users if user not in before]
        left = [user for user in before if user not in attendance.users]
        numbers = {"connections": attendance.connections, "users": len(attendance.users)}
        if len(joined) + len(left) > self._max_names:
            return reply_frame("presence", channel=channel, **numbers)
        return reply_frame("presence", channel=channel, **numbers, joined=joined, left=left)
