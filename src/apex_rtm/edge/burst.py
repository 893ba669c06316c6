"""The hot path: the same bytes to many sockets, with one system call and nothing else for each."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from apex_rtm.engine.journal import Entry
from apex_rtm.protocol import deflate
from apex_rtm.session import Session


def write_burst(sessions: Collection[Session], entries: Sequence[Entry]) -> None:
    """Write `entries` to every connection, past the transport where nothing waits in it.

    What the kernel does not take at once goes to the transport, and everything after it too, until that has drained:
    so the bytes of a connection keep their order.
    """
    _write(sessions, entries[0].frame if len(entries) == 1 else b"".join([entry.frame for entry in entries]))


def write_deflated_burst(sessions: Collection[Session], entries: Sequence[Entry]) -> None:
    """Do the same where some of the connections may have negotiated compression."""
    plain: list[Session] = []
    deflating: list[Session] = []
    for session in sessions:
        (deflating if session.peer.deflates else plain).append(session)
    if plain:
        write_burst(plain, entries)
    if deflating:
        _write(deflating, b"".join([_deflated(entry) for entry in entries]))


def _deflated(entry: Entry) -> bytes:
    if entry.deflated is None:
        entry.deflated = deflate(entry.frame)
    return entry.deflated


def _write(sessions: Collection[Session], data: bytes) -> None:
    size = len(data)
    write = os.write
    for session in sessions:
        peer = session.peer
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
