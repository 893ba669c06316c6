"""A real nginx with a configuration that is shipped; only ports and paths are replaced."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/sbin")


def replace_each(text: str, replacements: Sequence[tuple[str, str]]) -> str:
    """Replace texts that must be there once; anything else that had to change would be a fault of the example."""
    for old, new in replacements:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def run_balancer(directory: Path, site: str, port: int, *, connections: int = 4096) -> Iterator[None]:
    """Serve `site`, which listens on `port`, for the time of a `with` block."""
    if NGINX is None:
        pytest.skip("nginx is not installed: apt install nginx")
    directory.mkdir(parents=True)
    (directory / "site.conf").write_text(site)
    paths = "".join(
        f"{name}_temp_path {directory}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (directory / "nginx.conf").write_text(
        f"{'user root; ' if os.geteuid() == 0 else ''}worker_processes 1; pid {directory}/nginx.pid;\n"
        f"events {{ worker_connections {connections}; }}\n"
        f"http {{ access_log off; {paths} include {directory}/site.conf; }}\n"
    )
    command = [NGINX, "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", str(directory / "error.log")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr, checked.stderr
    with subprocess.Popen([*command, "-g", "daemon off;"], stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_port(port)
            yield
        finally:
            process.terminate()


def wait_for_port(port: int) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"nobody listens on {port}"
        else:
            return
