"""Quotas and rates. Each bounds what one peer can take from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from apex_rtm.errors import Refused


class TokenBucket:
    """Allows `rate` a second on average and `burst` at once. A rate of 0 allows everything."""

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._at = now

    def take(self, now: float, count: int = 1) -> bool:
        """Take `count` permits, or none and return False."""
        if self._rate == 0:
            return True
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < count:
            return False
        self._level -= count
        return True


class ConnectionQuota:
    """Counts connections in total, by address and by user; 0 means no limit of that kind."""

    def __init__(self, *, total: int, per_ip: int, per_user: int) -> None:
        self._total = total
        self._per_ip = per_ip
        self._per_user = per_user
        self.count = 0
        self._by_ip: Counter[str] = Counter()
        self._by_user: Counter[str] = Counter()

    def enter(self, ip: str) -> None:
        """Count a connection in. Raises Refused (limit_exceeded, unavailable)."""
        if self._total and self.count >= self._total:
            raise Refused("unavailable", f"this server has its {self._total} connections (max_connections)")
        if self._per_ip and self._by_ip[ip] >= self._per_ip:
            raise Refused("limit_exceeded", f"{self._per_ip} connections from one address (max_connections_per_ip)")
        self.count += 1
        self._by_ip[ip] += 1

    def leave(self, ip: str) -> None:
        """Count a connection out."""
        self.count -= 1
        _decrement(self._by_ip, ip)

    def enter_user(self, user: str) -> None:
        """Count a connection of a user in, once the token has named them. Raises Refused (limit_exceeded)."""
        if self._per_user and self._by_user[user] >= self._per_user:
            raise Refused("limit_exceeded", f"{self._per_user} connections of one user (max_connections_per_user)")
        self._by_user[user] += 1

    @property
    def users(self) -> Mapping[str, int]:
        """Users who are connected, and with how many connections."""
        return self._by_user

    @property
    def total(self) -> int:
        """How many connections there may be; 0 where there is no limit."""
        return self._total

    def leave_user(self, user: str) -> None:
        """Count a connection of a user out."""
        _decrement(self._by_user, user)


def _decrement(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
