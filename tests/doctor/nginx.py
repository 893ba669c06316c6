"""A real nginx with the location that a test wants: the lines of a configuration that somebody got wrong."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/sbin")
RIGHT = """
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $apex_rtm_connection;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    client_max_body_size 8m;
"""


@contextlib.contextmanager
def run_nginx(directory: Path, lines: str, location: str = "/") -> Iterator[str]:
    """Run nginx with these lines in its only location; give its address."""
    if _PROGRAM is None:
        pytest.skip("nginx is not installed: apt install nginx")
    directory.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    paths = "".join(
        f"{name}_temp_path {directory}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (directory / "nginx.conf").write_text(f"""
        {"user root;" if os.geteuid() == 0 else ""}
        worker_processes 1; pid {directory}/nginx.pid; events {{ worker_connections 64; }}
        http {{
            access_log off; {paths}
            map $http_upgrade $apex_rtm_connection {{ default upgrade; '' ''; }}
            server {{ listen 127.0.0.1:{port}; location {location} {{ {lines} }} }}
        }}
    """)
    command = [_PROGRAM, "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", str(directory / "error.log")]
    with subprocess.Popen([*command, "-g", "daemon off;"], stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "nginx did not start"
        else:
            return
