"""Debian's nginx as a process of its own, with the configuration that deploy/ ships: only ports and paths differ."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent.parent / "deploy" / "nginx-rtm.conf.example"
NAME = "rtm.example.com"


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx. `tls` trusts its certificate."""

    http_port: int
    https_port: int
    tls: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.https_port}"


def nginx_path() -> str | None:
    """Where Debian and Oracle Linux put it."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@contextlib.contextmanager
def run_nginx(directory: Path, upstream_port: int) -> Iterator[Nginx]:
    """Start nginx in front of a server on this machine; stop it at the end of the block."""
    program = nginx_path()
    assert program is not None, "nginx is not installed: tools/system_packages.sh"
    http_port, https_port = free_port(), free_port()
    make_certificate(directory)
    config = write_config(directory, http_port, https_port, upstream_port)
    command = [program, "-p", str(directory), "-c", str(config), "-e", str(directory / "error.log")]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    process = subprocess.Popen([*command, "-g", "daemon off;"])
    try:
        wait_for_port(https_port)
        yield Nginx(http_port, https_port, ssl.create_default_context(cafile=str(directory / "cert.pem")))
    finally:
        process.terminate()
        process.wait(10)


def write_config(directory: Path, http_port: int, https_port: int, upstream_port: int) -> Path:
    """Put the shipped example into a main configuration that needs no root and no system paths."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for old, new in {
        "listen 80;": f"listen 127.0.0.1:{http_port};",
        "listen 443 ssl;": f"listen 127.0.0.1:{https_port} ssl;",
        "server 127.0.0.1:3000;": f"server 127.0.0.1:{upstream_port};",
        f"/etc/letsencrypt/live/{NAME}/fullchain.pem": str(directory / "cert.pem"),
        f"/etc/letsencrypt/live/{NAME}/privkey.pem": str(directory / "key.pem"),
    }.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    paths = "".join(
        f"  {kind}_temp_path {directory / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = directory / "nginx.conf"
    config.write_text(
        f"worker_processes 1;\npid {directory / 'nginx.pid'};\nevents {{ worker_connections 512; }}\n"
        f"http {{\n  access_log off;\n{paths}{text}\n}}\n",
        encoding="utf-8",
    )
    return config


def make_certificate(directory: Path) -> None:
    """Make a certificate for the example's name, as an authority would sign it."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}",
         "-addext", f"subjectAltName=DNS:{NAME}",
         "-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip


def free_port() -> int:
    """Ask the system for a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int) -> None:
    """Return when something listens: nginx says so in no other way than by answering."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.01)
    raise AssertionError(f"nothing listens on {port}")
