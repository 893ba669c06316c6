"""The relay as a process, on PostgreSQL: `relay DSN URL` stands alone, `serve DSN` is a server with a relay inside.

Everything but the store is the product's own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import click
import uvloop

from apex_rtm.app import serve
from apex_rtm.log import configure_logging
from apex_rtm.relay.make import run_relay
from apex_rtm.settings import load_settings
from tests.relay.postgres import PostgresStore

MODULE = "tests.relay.process"


class RelayProcess:
    """Start, stop and kill one relay."""

    def __init__(self, dsn: str, url: str, name: str, *, wakes: bool = True) -> None:
        self._arguments = [sys.executable, "-m", MODULE, "relay", dsn, url, name, "wakes" if wakes else "polls"]
        self.log: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Return when it has begun."""
        self.process = subprocess.Popen(self._arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._collector = threading.Thread(target=self._collect, args=(self.process,), daemon=True)
        self._collector.start()
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "relays\n", "".join(self.log)

    def _collect(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr:
            self.log.extend(process.stderr)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to finish its batch; return its exit code."""
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


def relay(dsn: str, url: str, name: str, wakes: str) -> None:
    configure_logging("info", "json")
    settings = load_settings({"relay_poll_least_s": 0.05, "relay_poll_most_s": 0.5, "relay_reconnect_most_s": 1}, {})
    store = PostgresStore(dsn, name, wakes=wakes == "wakes")
    uvloop.run(run_relay(settings, url, os.environ.get("APEX_RTM_API_KEY"), lambda: click.echo("relays"), store))


def serve_with_relay(dsn: str) -> None:
    settings = load_settings({}, os.environ)
    configure_logging(settings.log_level, settings.log_format)
    store = PostgresStore(dsn, "inside", wakes=True)
    uvloop.run(serve(settings, lambda url: click.echo(f"apex-rtm listens on {url} (test)"), store))


if __name__ == "__main__":
    if sys.argv[1] == "relay":
        relay(*sys.argv[2:])
    else:
        serve_with_relay(*sys.argv[2:])
