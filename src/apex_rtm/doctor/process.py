"""Which process listens on a port, read from /proc: Linux, and processes of the same user unless it is root's."""

from __future__ import annotations

import contextlib
import re
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LISTEN: Final = "0A"
_ENOUGH_FILES: Final = 1_048_576  # where the system sets no limit


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this machine."""

    pid: int
    name: str


def listener_on(port: int, proc: Path = Path("/proc")) -> Process | None:
    """The process that listens on a TCP port; None where there is none or it may not be seen.

    systemd holds the socket that it hands to a service, so it is named only where nobody else has it.
    """
    inodes = _listening_inodes(port, proc)
    if not inodes:
        return None
    pids = sorted((int(path.name) for path in proc.glob("[0-9]*") if inodes & _sockets_of(path)), reverse=True)
    for pid in pids:
        with contextlib.suppress(OSError):
            return Process(pid, (proc / str(pid) / "comm").read_text(encoding="utf-8").strip())
    return None


def state_directory(process: Process, proc: Path = Path("/proc")) -> Path | None:
    """The directory that systemd made for a service (StateDirectory=); only root may look."""
    with contextlib.suppress(OSError):
        for line in (proc / str(process.pid) / "environ").read_bytes().split(b"\0"):
            name, _, value = line.partition(b"=")
            if name == b"STATE_DIRECTORY" and value:
                return Path(value.decode("utf-8", "surrogateescape").split(":")[0])
    return None


def _listening_inodes(port: int, proc: Path) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (proc / "net" / table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    found.add(fields[9])
    return found


def _sockets_of(directory: Path) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for entry in (directory / "fd").iterdir():
            with contextlib.suppress(OSError):
                match = re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink()))
                if match:
                    found.add(match[1])
    return found


def descriptor_limit(process: Process | None) -> int:
    """How many files and sockets a process may open at most; without one, this process."""
    if process is not None:
        with contextlib.suppress(OSError, PermissionError):
            return _finite(resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[1])
    return _finite(resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def _finite(limit: int) -> int:
    return _ENOUGH_FILES if limit == resource.RLIM_INFINITY else limit
