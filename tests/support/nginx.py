"""A real nginx with the file that `apex-rtm deploy nginx` prints, on free ports."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from apex_rtm.cli import main
from tests.support.certificate import Pair, make_certificate
from tests.support.server import API_KEY

NAME = "rtm.example.com"
PAGE = "https://apex.example.com"
PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/sbin")


@dataclass(frozen=True)
class Proxy:
    """A running nginx."""

    http_port: int
    https_port: int
    pair: Pair
    web_root: Path

    @property
    def context(self) -> ssl.SSLContext:
        """Trusts the certificate of this test and nothing else."""
        return ssl.create_default_context(cafile=str(self.pair.cert))

    def client(self, source_ip: str = "127.0.0.1", timeout_s: float = 10) -> httpx.Client:
        transport = httpx.HTTPTransport(verify=self.context, local_address=source_ip)
        headers = {"Host": NAME, "X-API-Key": API_KEY}
        url = f"https://127.0.0.1:{self.https_port}"
        return httpx.Client(base_url=url, transport=transport, headers=headers, timeout=timeout_s)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def printed_site(server_ports: Sequence[int], web_root: Path) -> str:
    """What the command prints for these servers."""
    upstreams = [part for port in server_ports for part in ("--upstream", f"127.0.0.1:{port}")]
    done = CliRunner().invoke(main, ["deploy", "nginx", "--domain", NAME, "--webroot", str(web_root), *upstreams])
    assert done.exit_code == 0, done.output
    return done.stdout


def adapted(site: str, ports: Sequence[int], pair: Pair) -> str:
    """The printed file with ports and certificate of this test; anything else that had to change would be its fault."""
    for old, new in (
        ("listen 80;", f"listen 127.0.0.1:{ports[0]};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{ports[1]} ssl;"),
        (f"/etc/letsencrypt/live/{NAME}/fullchain.pem", str(pair.cert)),
        (f"/etc/letsencrypt/live/{NAME}/privkey.pem", str(pair.key)),
    ):
        assert site.count(old) == 1, old
        site = site.replace(old, new)
    return site


@contextlib.contextmanager
def run_nginx(directory: Path, *server_ports: int) -> Iterator[Proxy]:
    """nginx in front of these servers for the time of a `with` block."""
    if PROGRAM is None:
        pytest.skip("nginx is not installed: apt install nginx")
    directory.mkdir()
    web_root = directory / "html"
    (web_root / ".well-known" / "acme-challenge").mkdir(parents=True)
    pair, ports = make_certificate(directory, NAME), free_ports(2)
    (directory / "rtm.conf").write_text(adapted(printed_site(server_ports, web_root), ports, pair))
    paths = "".join(
        f"{name}_temp_path {directory}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (directory / "nginx.conf").write_text(
        f"{'user root; ' if os.geteuid() == 0 else ''}worker_processes 1; pid {directory}/nginx.pid;\n"
        f"events {{ worker_connections 256; }}\nhttp {{ access_log off; {paths} include {directory}/rtm.conf; }}\n"
    )
    command = [PROGRAM, "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", str(directory / "error.log")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr
    with subprocess.Popen([*command, "-g", "daemon off;"], stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(ports)
            yield Proxy(ports[0], ports[1], pair, web_root)
        finally:
            process.terminate()


def _wait_for(ports: Sequence[int]) -> None:
    deadline = time.monotonic() + 10
    for port in ports:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "nginx did not start"
            else:
                break
