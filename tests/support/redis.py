"""A real Redis as a process of its own, on a free port, with its own data directory."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REDIS_SERVER = shutil.which("redis-server") or shutil.which("valkey-server")


def need_redis() -> str:
    """The program, or a skip that nobody overlooks."""
    if REDIS_SERVER is None:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn("redis-server is not installed: NOTHING was shown of engine = redis", stacklevel=2)
        pytest.skip("redis-server is not installed: apt install redis-server")
    return REDIS_SERVER


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


class RedisProcess:
    """Start, stop, pause and kill one server; a restart takes the same port. `options` as in redis.conf."""

    def __init__(self, directory: Path, port: int = 0, **options: Any) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.options = {"save": "", "appendonly": "no", "bind": "127.0.0.1", **options}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> RedisProcess:
        """Return when it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [need_redis(), "--port", str(self.port), "--dir", str(self.directory)]
        for name, value in self.options.items():
            command += [f"--{name.replace('_', '-')}", *str(value).split(" ")]
        return self._run(command)

    def start_sentinel(self, service: str, port: int) -> RedisProcess:
        """Start it as a Sentinel that alone decides about the primary on `port`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        file = self.directory / "sentinel.conf"
        file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.directory}\nsentinel monitor {service} 127.0.0.1 {port} 1\n"
            f"sentinel down-after-milliseconds {service} 1000\nsentinel failover-timeout {service} 5000\n"
        )
        return self._run([need_redis(), str(file), "--sentinel"])

    def _run(self, command: list[str]) -> RedisProcess:
        log = self.directory / "redis.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 10
        while self.ask("PING") != b"+PONG\r\n":
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "Redis did not start"
        return self

    def ask(self, *words: str) -> bytes:
        """One command, its reply as it comes; empty while nobody answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(
                    b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w.encode()), w.encode()) for w in words)
                )
                return connection.recv(65536)
        except OSError:
            return b""

    def kill(self) -> None:
        """End it as a power cut would: no handler runs."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None:
            process, self.process = self.process, None
            process.send_signal(number)
            process.wait(20)

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def run_redis(directory: Path, **options: Any) -> Iterator[RedisProcess]:
    """A server for the time of a `with` block."""
    server = RedisProcess(directory, **options).start()
    try:
        yield server
    finally:
        server.kill()
