"""A server under test: how it is started, what a subscriber says to it, how one publishes to it, what it costs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.build import WORK
from bench.generator import STAMP, Answer, Generator

START_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Launch:
    """Where a server is to listen, and what it may write into."""

    port: int
    http_port: int
    directory: Path
    options: Mapping[str, Any]


def _no_environ(_launch: Launch) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Peer:
    """One program of the benchmark. `script` is what subscriber number i says to get channel `test`."""

    name: str
    label: str
    command: Callable[[Launch], Sequence[str]]
    environ: Callable[[Launch], Mapping[str, str]] = _no_environ
    script: Callable[[int], str] | None = None
    open_options: Mapping[str, Any] = field(default_factory=dict)
    publish_path: str = "/api/broadcast"
    has_own_http_port: bool = False
    wrap: Callable[[dict[str, Any]], dict[str, Any]] = lambda message: message

    def body(self, *, value_bytes: int = 100, channel: str = "test") -> bytes:
        """One message as it is POSTed, with room for a time stamp."""
        payload = {"itemName": "P10_MESSAGE", "ts": STAMP, "value": text_of(value_bytes)}
        message = self.wrap({"channel": channel, "eventName": "ping", "payload": payload})
        return json.dumps(message, separators=(",", ":")).encode()


def batch_of(body: bytes, count: int) -> bytes:
    """The body of one request with the same message many times."""
    return b'{"messages":[' + b",".join([body] * count) + b"]}"


def text_of(size_bytes: int) -> str:
    """Text of a size that is neither random nor all alike, so that compression has something to do."""
    words = " ".join(
        f"region-{number % 97} was changed by user {number * 7919 % 1000}" for number in range(size_bytes // 24 + 1)
    )
    return words[:size_bytes]


class Server:
    """A running peer with subscribers of its own: a generator that watches its processor time."""

    def __init__(self, peer: Peer, *, directory: Path | None = None, **options: Any) -> None:
        self.peer = peer
        self._scratch = tempfile.TemporaryDirectory(prefix="server-", dir=_scratch_root())
        self._launch = Launch(_free_port(), _free_port(), directory or Path(self._scratch.name), options)
        self._process: subprocess.Popen[bytes] | None = None
        self.generator: Generator

    @property
    def port(self) -> int:
        """The port of its WebSockets."""
        return self._launch.port

    @property
    def http_port(self) -> int:
        """The port that takes its publications."""
        return self._launch.http_port if self.peer.has_own_http_port else self._launch.port

    @property
    def pids(self) -> list[int]:
        """The process and everything that it started."""
        assert self._process is not None
        found = [self._process.pid]
        for pid in found:
            found += _children(pid)
        return found

    def rss_bytes(self) -> int:
        """Resident memory of all its processes."""
        return sum(_rss_bytes(pid) for pid in self.pids)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.stop()
        self._scratch.cleanup()

    def start(self) -> None:
        """Start it and a generator; return when it listens."""
        launch = self._launch
        environ = {key: value for key, value in os.environ.items() if not key.startswith("APEX_RTM_") and key != "PORT"}
        log = (WORK / f"{self.peer.name}.log").open("wb")
        with log:
            self._process = subprocess.Popen(
                list(self.peer.command(launch)), env=environ | dict(self.peer.environ(launch)), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, cwd=launch.directory,
            )  # fmt: skip
        try:
            for port in {self.port, self.http_port}:
                self._wait_for(port)
            self.generator = Generator()
            self.generator.watch(self.pids)
        except BaseException:
            self.stop()  # nobody else would
            raise

    def stop(self) -> None:
        """Kill it, as a power cut would, and its generator."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None
        if hasattr(self, "generator"):
            self.generator.__exit__(None, None, None)

    def subscribe(
        self, count: int, script: Callable[[int], str] | None = None, *, first: int = 0, **options: Any
    ) -> Answer:
        """Open `count` more subscribers."""
        script = script or self.peer.script
        scripts = None if script is None else (script(first + number) for number in range(count))
        return self.generator.open(count, scripts, port=self.port, **{**self.peer.open_options, **options})

    def publish(self, publications: int, body: bytes | None = None, **options: Any) -> Answer:
        """Publish and count what arrives."""
        values = {"path": self.peer.publish_path, "port": self.http_port, **options}
        return self.generator.publish(body or self.peer.body(), publications=publications, **values)

    def _wait_for(self, port: int) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    text = (WORK / f"{self.peer.name}.log").read_text(errors="replace")
                    raise RuntimeError(f"{self.peer.name} did not start: {text[-500:]}") from None
                time.sleep(0.02)
            else:
                return


def _scratch_root() -> Path:
    WORK.mkdir(parents=True, exist_ok=True)
    return WORK


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        yield from map(int, task.read_text().split())


def _rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    return 0
