"""Servers that live under limits of the system: few file descriptors, a small disk, no right to write everywhere."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import ServerProcess

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE = 1


@contextlib.contextmanager
def few_descriptors(tmp_path: Path, count: int, **settings: Any) -> Iterator[ServerProcess]:
    """A server that may open `count` files and sockets, and cannot ask for more."""
    server = ServerProcess(tmp_path / "data", **settings)
    with _as_interpreter(tmp_path, f'ulimit -n {count}; exec {shlex.quote(sys.executable)} "$@"'):
        server.start()
    try:
        yield server
    finally:
        if server.process is not None:
            server.kill()


@contextlib.contextmanager
def _as_interpreter(tmp_path: Path, script: str) -> Iterator[None]:
    """Start Python through a shell for the time of a `with` block: `ServerProcess` runs `sys.executable`."""
    wrapper = tmp_path / "python"
    wrapper.write_text(f"#!/bin/sh\n{script}\n")
    wrapper.chmod(0o755)
    before, sys.executable = sys.executable, str(wrapper)
    try:
        yield
    finally:
        sys.executable = before


def limit_file_size(pid: int, size_bytes: int) -> None:
    """Let no file of a running process grow beyond `size_bytes`; -1 lifts the limit (soft limit only)."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size_bytes < 0 else size_bytes, hard))


def obey_permissions() -> None:
    """Take root's right to ignore file modes from the process that is about to start (called between fork and exec)."""
    ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)


def rss_bytes(pid: int) -> int:
    """Memory of a process that is in RAM now (proc(5): statm, second field, in pages)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


@contextlib.contextmanager
def small_disk(tmp_path: Path, size_bytes: int, **settings: Any) -> Iterator[tuple[ServerProcess, Path]]:
    """A server whose data directory is a file system of its own; gives it and the path at which a test can reach that.

    The file system is mounted where only the server sees it (a mount namespace), so nothing is left behind. Skips
    where the system does not allow that.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size={size_bytes} tmpfs {shlex.quote(str(disk))}"
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*unshare, "sh", "-c", mount], capture_output=True, check=False).returncode != 0:
        pytest.skip("no tmpfs can be mounted here: needs root or user namespaces")
    server = ServerProcess(disk / "data", **settings)
    inside = f'{mount} && exec {shlex.quote(sys.executable)} "$@"'
    with _as_interpreter(tmp_path, f'exec {" ".join(unshare)} sh -c {shlex.quote(inside)} sh "$@"'):
        server.start()
    try:
        yield server, Path(f"/proc/{server.pid}/root{disk}")
    finally:
        if server.process is not None:
            server.kill()
