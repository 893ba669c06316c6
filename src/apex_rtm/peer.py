"""What a session needs of the connection that carries it. The core knows nothing else about transports."""

from __future__ import annotations

from typing import Protocol

from apex_rtm.codes import Close


class Peer(Protocol):
    """The other end of one connection."""

    @property
    def ip(self) -> str:
        """The address of the client, behind trusted proxies that of the outermost one."""
        ...

    @property
    def fd(self) -> int:
        """A descriptor to which frames may be written as they are, because nothing waits before them; -1 while not."""
        ...

    @property
    def deflates(self) -> bool:
        """True where compressed messages were negotiated (RFC 7692)."""
        ...

    @property
    def writable(self) -> bool:
        """False while the peer reads slower than it is written to; `Session.on_writable` tells when it is over."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were sent and that the kernel has not taken yet."""
        ...

    def send(self, frame: bytes) -> None:
        """Write one complete frame. Never raises; closes with 4002 when `outbox_max_bytes` wait already."""
        ...

    def take_up(self) -> None:
        """Hand over the commands that have waited while the session was busy."""
        ...

    def queue(self, data: bytes) -> None:
        """Write what a direct write to `fd` has left over; the rest of a frame, and whole frames behind it."""
        ...

    def close(self, close: Close) -> None:
        """Start the closing handshake after what was sent; gives up on it after a while."""
        ...
