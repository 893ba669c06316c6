"""The real server as a process of its own, on a free port, with its own data directory."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

API_KEY = "test-api-key"
JWT_SECRET = "a-secret-of-at-least-thirty-two-bytes"
SECURED = {"api_keys": API_KEY, "jwt_secret": JWT_SECRET}


class ServerProcess:
    """Start, stop and kill one server. `settings` become APEX_RTM_ variables; `command` may be another program's."""

    command: Sequence[str] = ("-m", "apex_rtm", "serve")
    environ: Mapping[str, str] = {}
    pass_fds: Sequence[int] = ()

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        self.settings = {"data_dir": data_dir, "host": "127.0.0.1", "port": 0, **settings}
        self.url = ""
        self.log: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Return when the server listens. A restart takes the port that it had before."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("APEX_RTM_")}
        environ |= {f"APEX_RTM_{name.upper()}": str(value) for name, value in self.settings.items()}
        environ.pop("PORT", None)
        environ |= self.environ
        self.process = subprocess.Popen(
            [sys.executable, *self.command],
            env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=self.pass_fds,
        )  # fmt: skip
        assert self.process.stdout is not None
        self._collector = threading.Thread(target=self._collect, args=(self.process,), daemon=True)
        self._collector.start()
        line = self.process.stdout.readline()
        found = re.search(r"listens on (https?://\S+?)(/demo)? ", line)
        if found is None:
            self.process.wait(10)
            raise AssertionError(f"the server did not start: {line}{''.join(self.log)}")
        self.url = found.group(1)
        self.settings["port"] = int(self.url.rsplit(":", 1)[1])

    def _collect(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr:
            self.log.extend(process.stderr)

    @property
    def port(self) -> int:
        return int(self.settings["port"])

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """End it as a power cut would: no handler runs."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to drain; return its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.send_signal(number)
        code = process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
        self._collector.join(10)
        return code

    def restart(self) -> None:
        self.kill()
        self.start()

    def client(self) -> httpx.Client:
        """An HTTP client that has the key, where there is one."""
        headers = {"X-API-Key": API_KEY} if "api_keys" in self.settings else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=10, verify=False)  # no TLS context is needed


@contextlib.contextmanager
def run_server(data_dir: Path, **settings: Any) -> Iterator[ServerProcess]:
    """A server for the time of a `with` block."""
    server = ServerProcess(data_dir, **settings)
    server.start()
    try:
        yield server
    finally:
        if server.process is not None:
            server.kill()
