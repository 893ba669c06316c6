"""What systemd and a service say to each other: readiness, reloads, the watchdog, and a socket handed over.

The notification protocol is that of sd_notify(3), handing over sockets that of sd_listen_fds(3). Both are a few lines
and stable for good, so there is no dependency for them. Without systemd everything here does nothing.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final

from apex_rtm.errors import ConfigurationError
from apex_rtm.log import get_logger

_log = get_logger(__name__)
_FIRST_FD: Final = 3  # SD_LISTEN_FDS_START
_STATUS_INTERVAL_S: Final = 10.0
# systemd is asked for one signal of life in the time that it waits; three leave room for a busy loop and a lost one.
_SIGNS_OF_LIFE: Final = 3
_URGENT_TIMEOUT_S: Final = 1.0


class Notifier:
    """Tells the service manager at `address` (`$NOTIFY_SOCKET`) how the service is; None: there is nobody to tell."""

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        self._socket: socket.socket | None = None
        if address is None:
            return
        # An abstract address is written with @ where the kernel has a zero byte.
        target = f"\0{address[1:]}" if address.startswith("@") else address
        notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            notes.connect(target)
        except OSError as error:
            notes.close()
            _log.warning("systemd.unreachable", address=address, reason=error.strerror)
            return
        notes.setblocking(False)
        self._socket = notes

    @classmethod
    def from_environ(cls, environ: MutableMapping[str, str], pid: int | None = None) -> Notifier:
        """Read `$NOTIFY_SOCKET`, `$WATCHDOG_USEC` and `$WATCHDOG_PID`, and take them out: they are not for children."""
        address = environ.pop("NOTIFY_SOCKET", None)
        limit_usec = environ.pop("WATCHDOG_USEC", "")
        for_pid = environ.pop("WATCHDOG_PID", "")
        if address is not None and not address.startswith(("/", "@")):
            _log.warning("systemd.unreachable", address=address, reason="neither a path nor an abstract address")
            address = None
        is_ours = not for_pid or for_pid == str(pid or os.getpid())
        watchdog_s = int(limit_usec) / 1e6 if limit_usec.isdecimal() and int(limit_usec) > 0 and is_ours else None
        return cls(address, watchdog_s)

    @property
    def is_heard(self) -> bool:
        """Tell whether there is a service manager."""
        return self._socket is not None

    @property
    def interval_s(self) -> float:
        """Seconds between two signs of life."""
        return _STATUS_INTERVAL_S if self.watchdog_s is None else self.watchdog_s / _SIGNS_OF_LIFE

    def ready(self, status: str) -> None:
        """The service answers, for the first time or after a reload."""
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it. Without the time systemd could take an older `ready` for its end."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}\nSTATUS=reloading")

    def stopping(self) -> None:
        """The service drains."""
        self._tell("STOPPING=1\nSTATUS=draining")

    def alive(self, status: str) -> None:
        """The event loop turns. Never waits: a service manager that hangs must not make the loop hang."""
        if self._socket is None:
            return
        text = f"STATUS={status}" if self.watchdog_s is None else f"WATCHDOG=1\nSTATUS={status}"
        try:
            self._socket.send(text.encode())
        except OSError as error:
            _log.warning("systemd.unreachable", reason=error.strerror)

    def close(self) -> None:
        """Say nothing any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, text: str) -> None:
        if self._socket is None:
            return
        self._socket.settimeout(_URGENT_TIMEOUT_S)
        try:
            self._socket.send(text.encode())
        except OSError as error:
            _log.warning("systemd.unreachable", reason=str(error))
        finally:
            self._socket.setblocking(False)


def take_listener(environ: MutableMapping[str, str], pid: int | None = None) -> socket.socket | None:
    """Return the listening socket that a socket unit hands over, if there is one. Raises ConfigurationError.

    It stays open in systemd while the service restarts: who connects in between waits, and is not refused.
    """
    for_pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if for_pid != str(pid or os.getpid()) or not count.isdecimal() or count == "0":
        return None
    if count != "1":
        raise ConfigurationError([f"host: the socket unit hands over {count} sockets; one ListenStream= is served"])
    return adopt(_FIRST_FD)


def adopt(descriptor: int) -> socket.socket:
    """Check a socket from outside. Raises ConfigurationError."""
    try:
        given = socket.socket(fileno=descriptor)
        is_listening = bool(given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError as error:
        raise ConfigurationError([f"host: what the socket unit hands over is no socket: {error.strerror}"]) from error
    if not is_listening or given.family not in {socket.AF_INET, socket.AF_INET6} or given.type != socket.SOCK_STREAM:
        given.close()
        raise ConfigurationError(
            ["host: the socket unit hands over no listening TCP socket; it needs ListenStream=127.0.0.1:3000"]
        )
    given.set_inheritable(False)
    return given
