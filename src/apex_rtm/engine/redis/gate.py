"""Wildcards on an engine with several nodes: every announcement of every partition, in the order of its partition.

A node that has wildcards listens to all partitions. Each announcement carries the number that follows the one before; a
number that is left out is a publication that no wildcard of this node has seen. Sans-I/O.
"""

from __future__ import annotations

from collections.abc import Callable

from apex_rtm.engine.redis.follow import Follower
from apex_rtm.engine.redis.layout import Publication


class _Part:
    __slots__ = ("audited", "barriers", "seen", "seq")

    def __init__(self) -> None:
        self.seq: int | None = None  # None: not listening yet
        self.seen = 0
        self.audited = 0
        self.barriers: list[tuple[int, Callable[[], None]]] = []


class Gate:
    """Lets publications through to the follower and to wildcards.

    `deliver` hands one to wildcards only; `lost` says that wildcards may have missed something.
    """

    def __init__(
        self, partitions: int, follower: Follower, deliver: Callable[[Publication], None], lost: Callable[[], None]
    ) -> None:
        self._parts = [_Part() for _ in range(partitions)]
        self._follower = follower
        self._deliver = deliver
        self._lost = lost

    def take(self, partition: int, publication: Publication, *, own: bool) -> None:
        """One publication, announced or answered (`own`)."""
        part = self._parts[partition]
        found = self._follower.channels.get(publication.channel)
        part.seen = max(part.seen, publication.seq)
        if part.seq is None:
            if found is not None:
                self._follower.take(found, publication, own=own)
            return
        if publication.seq > part.seq:
            if publication.seq > part.seq + 1:
                if own:  # what others published before it is on its way, and this one will come once more, in order
                    return
                self._lost()
            part.seq = publication.seq
            if found is None or not found.is_ready:
                self._deliver(publication)
        if found is not None:
            self._follower.take(found, publication, own=own)
        self._release(part)

    def open(self, partition: int, seq: int) -> None:
        """Begin: everything after `seq` comes to wildcards from now on."""
        part = self._parts[partition]
        part.seq = max(seq, part.seen)
        part.audited = 0

    def close(self, partition: int) -> None:
        """End: the topic is no longer listened to."""
        part = self._parts[partition]
        part.seq, part.seen = None, 0
        self._release(part)

    def is_open(self, partition: int) -> bool:
        """Whether wildcards get everything from this partition."""
        return self._parts[partition].seq is not None

    def when(self, partition: int, seq: int, then: Callable[[], None]) -> None:
        """Call `then` when wildcards have got everything up to `seq`; at once where there are none.

        A log that is read may hold what is still on its way here. Were it taken for known, no wildcard would get it.
        """
        part = self._parts[partition]
        if part.seq is None or part.seq >= seq:
            then()
        else:
            part.barriers.append((seq, then))

    def _release(self, part: _Part) -> None:
        if not part.barriers:
            return
        ready = [then for seq, then in part.barriers if part.seq is None or part.seq >= seq]
        part.barriers = [(seq, then) for seq, then in part.barriers if part.seq is not None and part.seq < seq]
        for then in ready:
            then()

    def audit(self, partition: int, seq: int) -> None:
        """Compare with the number in Redis: what it was at the last audit must have arrived by now."""
        part = self._parts[partition]
        if part.seq is None:
            return
        if part.seq < part.audited or seq < part.audited:
            part.seq = seq
            self._lost()
            self._release(part)
        part.audited = seq
