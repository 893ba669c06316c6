"""The hot path: the same bytes to many sockets, with one system call for all of them or for each, and nothing else."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from typing import Final

from apex_rtm.edge.ring import Ring
from apex_rtm.engine.journal import Entry
from apex_rtm.log import get_logger
from apex_rtm.peer import Peer
from apex_rtm.protocol import deflate
from apex_rtm.session import Session

_log = get_logger(__name__)
_WORTH_A_RING: Final = 16  # connections; below that, a system call for each costs no more than filling a ring


class _Audience:
    """Who gets a publication, as a ring wants it: found once, and good until `Burst.forget`."""

    __slots__ = ("lanes", "sessions")

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.sessions = sessions
        peers = [session.peer for session in sessions]
        self.lanes: list[tuple[bool, list[Peer], array[int], list[Peer]]] = []
        """Compressed or not, the connections, their descriptors in the same order, and those that have a queue."""
        for deflates in (False, True):
            alike = [peer for peer in peers if peer.deflates == deflates]
            if alike:
                direct = [peer for peer in alike if peer.fd >= 0]
                queued = [peer for peer in alike if peer.fd < 0]
                self.lanes.append((deflates, direct, array("i", [peer.fd for peer in direct]), queued))


_NOBODY: Final = _Audience(())


class Burst:
    """Writes publications to their subscribers, past the transports in which nothing waits.

    What the kernel does not take at once goes to the transport, and everything after it too, until that has drained:
    so the bytes of a connection keep their order.
    """

    def __init__(self) -> None:
        self._ring: Ring | None = None
        self._audience = _NOBODY

    def open(self) -> None:
        """Write through io_uring from here on, where there is one."""
        try:
            self._ring = Ring()
        except OSError as error:
            remedy = "nothing is lost, a delivery costs a third more; docs/deploy.md, section 10, or io_uring = false"
            _log.info("io_uring.unavailable", reason=error.strerror, remedy=remedy)

    @property
    def has_ring(self) -> bool:
        """True while bursts go through io_uring."""
        return self._ring is not None

    def close(self) -> None:
        """Write without a ring from here on."""
        ring, self._ring = self._ring, None
        self.forget()
        if ring is not None:
            ring.close()

    def forget(self) -> None:
        """Find out again how connections are written to, since that of one has changed."""
        self._audience = _NOBODY

    def write(self, sessions: Sequence[Session], entries: Sequence[Entry]) -> None:
        """Write `entries` to every connection, compressed where that was negotiated. `sessions` must stay as it is."""
        ring = self._ring
        if ring is None or len(sessions) < _WORTH_A_RING:
            _write_each(sessions, entries)
            return
        audience = self._audience
        if audience.sessions is not sessions:
            audience = self._audience = _Audience(sessions)
        left: list[tuple[Peer, bytes]] = []
        for deflates, direct, numbers, queued in audience.lanes:
            data = _join(entries, deflates=deflates)
            left += [(direct[place], data[max(sent, 0) :]) for place, sent in ring.send(numbers, data)]
            left += [(peer, data) for peer in queued]
        for peer, rest in left:
            peer.queue(rest)  # it takes no more now, or is gone: the transport finds out which
        if ring.is_broken:
            reason = os.strerror(ring.error_code) if ring.error_code else "the kernel took only some of the requests"
            remedy = "restart when convenient: until then a delivery costs a third more"
            _log.warning("io_uring.failed", reason=reason, remedy=remedy)
            self.close()


def _write_each(sessions: Sequence[Session], entries: Sequence[Entry]) -> None:
    peers = [session.peer for session in sessions]
    deflating = [peer for peer in peers if peer.deflates]
    if deflating:
        _write_one_by_one(deflating, _join(entries, deflates=True))
        peers = [peer for peer in peers if not peer.deflates]
    _write_one_by_one(peers, _join(entries, deflates=False))


def _write_one_by_one(peers: list[Peer], data: bytes) -> None:
    size = len(data)
    write = os.write
    for peer in peers:
        fd = peer.fd
        if fd < 0:
            peer.send(data)
            continue
        try:
            sent = write(fd, data)
        except OSError:  # it takes nothing now, or is gone: the transport finds out which
            sent = 0
        if sent != size:
            peer.queue(data[sent:])


def _join(entries: Sequence[Entry], *, deflates: bool) -> bytes:
    if deflates:
        return b"".join([_deflated(entry) for entry in entries])
    return entries[0].frame if len(entries) == 1 else b"".join([entry.frame for entry in entries])


def _deflated(entry: Entry) -> bytes:
    if entry.deflated is None:
        entry.deflated = deflate(entry.frame)
    return entry.deflated
