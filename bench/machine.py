"""What the figures were measured on, and with which versions."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from apex_rtm import __version__
from bench.build import HERE, PEERS, find_centrifugo
from bench.contestants import has_io_uring
from bench.peer import Peer


def describe_machine(
    peers: Sequence[Peer], missing: Mapping[str, str], *, seconds: float, quick: bool
) -> dict[str, Any]:
    """Everything that somebody needs to judge the figures."""
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _said_by("git", "-C", str(HERE), "describe", "--always", "--dirty"),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "io_uring": has_io_uring(),
        "congestion_control": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "load_average": list(os.getloadavg()),
        "seconds": round(seconds),
        "quick": quick,
        "peers": [peer.name for peer in peers],
        "missing": dict(missing),
        "versions": _versions(),
    }


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {
        "apex-rtm": __version__,
        "Python": platform.python_version(),
        "Node.js": _said_by("node", "--version"),
        "gcc": _said_by("gcc", "-dumpfullversion"),
        "libc": " ".join(platform.libc_ver()),
    }
    for name in ("uvloop", "uvicorn", "starlette", "websockets", "msgspec", "socketify"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    packages = json.loads((PEERS / "package-lock.json").read_text())["packages"]
    found |= {name: packages[f"node_modules/{name}"]["version"] for name in ("ws", "express", "socket.io")}
    program = find_centrifugo()
    said = _said_by(str(program), "version") if program else None
    found["Centrifugo"] = next(iter(re.findall(r"v[\d.]+", said or "")), None)
    return found


def _said_by(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except OSError:
        return None
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else None


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found.group(1) if found else f"{platform.machine()} ({sys.platform})"
