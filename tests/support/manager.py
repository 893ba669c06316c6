"""What systemd does, as far as a service sees it: hears notifications, and hands over a listening socket."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.server import ServerProcess

# Descriptor 3 and the process id of whoever serves: what a service manager sets between fork and exec.
_TAKE_OVER = (
    "import os, runpy, sys; os.dup2(int(os.environ.pop('TEST_LISTENER')), 3); os.environ['LISTEN_FDS'] = '1'; "
    "os.environ['LISTEN_PID'] = str(os.getpid()); sys.argv = ['apex-rtm', 'serve']; "
    "runpy.run_module('apex_rtm', run_name='__main__', alter_sys=True)"
)


class Manager:
    """Hears everything, in a thread of its own, with the time of each."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[tuple[float, str]] = []
        self._news = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while text := self._socket.recv(4096).decode():
            with self._news:
                self.heard.append((time.monotonic(), text))
                self._news.notify_all()

    def lines(self, name: str) -> list[str]:
        """The values of one variable, in order."""
        found = [line.split("=", 1) for _, text in list(self.heard) for line in text.split("\n")]
        return [value for key, value in found if key == name]

    def wait_for(self, name: str, count: int = 1, timeout_s: float = 10) -> None:
        """Until a variable was told so often."""
        with self._news:
            told = self._news.wait_for(lambda: len(self.lines(name)) >= count, timeout_s)
        assert told, f"{name} was not heard {count} times: {self.heard}"

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()


@contextlib.contextmanager
def run_manager(directory: Path) -> Iterator[Manager]:
    """A manager for the time of a `with` block."""
    with contextlib.closing(Manager(str(directory / "notify"))) as manager:
        yield manager


class ActivatedServer(ServerProcess):
    """A server that is given its listening socket; the socket stays open between two of its lives."""

    command = ("-c", _TAKE_OVER)

    def __init__(self, data_dir: Path, listener: socket.socket, **settings: object) -> None:
        super().__init__(data_dir, **settings)
        self.pass_fds = (listener.fileno(),)
        self.environ = {"TEST_LISTENER": str(listener.fileno())}
