"""Who is on a channel, and telling the others in few words: changes are gathered and sent once per interval."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from apex_rtm.protocol import reply_frame

if TYPE_CHECKING:
    from apex_rtm.session import Session


class Attendance:
    """Who is on one channel, and what the watchers have not been told yet."""

    __slots__ = ("connections", "dirty", "told_users", "users", "watchers")

    def __init__(self) -> None:
        self.connections = 0
        self.users: Counter[str] = Counter()
        self.watchers: dict[Session, None] = {}
        self.told_users: set[str] | None = None
        self.dirty = False

    def summary(self) -> dict[str, Any]:
        """Connections in total and by user: `{"connections": 3, "users": {"SCOTT": 2}}`."""
        return {"connections": self.connections, "users": dict(self.users)}


class Presence:
    """Attendance of every channel that has subscribers and whose namespace wants it."""

    def __init__(self, *, max_names: int) -> None:
        self._max_names = max_names
        self._channels: dict[str, Attendance] = {}
        self._dirty: list[str] = []

    def join(self, channel: str, user: str | None) -> None:
        """Count a subscription in."""
        attendance = self._channels.get(channel)
        if attendance is None:
            attendance = self._channels[channel] = Attendance()
        self._note(channel, attendance)
        attendance.connections += 1
        if user is not None:
            attendance.users[user] += 1

    def leave(self, channel: str, user: str | None, session: Session) -> None:
        """Count a subscription out; a watcher that leaves watches no longer."""
        attendance = self._channels.get(channel)
        if attendance is None:
            return
        self._note(channel, attendance)
        attendance.watchers.pop(session, None)
        attendance.connections -= 1
        if user is not None:
            attendance.users[user] -= 1
            if not attendance.users[user]:
                del attendance.users[user]
        if not attendance.connections:
            del self._channels[channel]

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

    def _frame(self, channel: str, attendance: Attendance, before: set[str]) -> bytes:
        joined = [user for user in attendance.users if user not in before]
        left = [user for user in before if user not in attendance.users]
        numbers = {"connections": attendance.connections, "users": len(attendance.users)}
        if len(joined) + len(left) > self._max_names:
            return reply_frame("presence", channel=channel, **numbers)
        return reply_frame("presence", channel=channel, **numbers, joined=joined, left=left)
