"""What the operating system says of this process. What takes longer with more sockets stays off the loop."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from pathlib import Path
from typing import Final

STARTED_AT: Final = time.time()
"""When this module was loaded: within a second of the start of the process."""

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_STATM: Final = Path("/proc/self/statm")
_FILES: Final = next((path for path in ("/proc/self/fd", "/dev/fd") if Path(path).is_dir()), None)


def memory_bytes() -> int:
    """What this process holds in memory now; where the system does not tell, the most that it ever held."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def max_files() -> int:
    """How many descriptors there may be."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


async def count_files() -> int | None:
    """How many descriptors are open; None where the system does not tell.

    Linux 6.2 and newer say so at once. Before that they must be listed, which for ten thousand takes tens of
    milliseconds in which no message would be delivered: a thread does it.
    """
    if _FILES is None:
        return None
    known = _told(_FILES)
    return known if known else await asyncio.to_thread(_list, _FILES)


def _told(folder: str) -> int:
    return Path(folder).stat().st_size if folder.startswith("/proc") else 0


def _list(folder: str) -> int | None:
    try:
        return len(os.listdir(folder)) - 1  # noqa: PTH208 - a generator of paths takes longer; one is the listing's own
    except OSError:
        return None
