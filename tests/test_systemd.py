"""What is told to systemd, over a real datagram socket, and what it hands over."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from apex_rtm.errors import ConfigurationError
from apex_rtm.systemd import Notifier, adopt, take_listener


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """Where a service manager listens: its address as the variable has it, and its socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(5)
        if request.param == "path":
            address = str(tmp_path / "notify")
            receiver.bind(address)
        else:
            receiver.bind("")  # the kernel chooses an abstract address
            address = "@" + receiver.getsockname()[1:].decode()
        yield address, receiver


def told(receiver: socket.socket) -> dict[str, str]:
    lines = receiver.recv(4096).decode().split("\n")
    return dict(line.split("=", 1) for line in lines)


def test_the_turns_of_a_life_are_told(manager: tuple[str, socket.socket]) -> None:
    address, receiver = manager
    notifier = Notifier(address)
    assert notifier.is_heard

    notifier.ready("secured mode")
    assert told(receiver) == {"READY": "1", "STATUS": "secured mode"}
    before_us = time.monotonic_ns() // 1000
    notifier.reloading()
    reloading = told(receiver)
    assert before_us <= int(reloading.pop("MONOTONIC_USEC")) <= time.monotonic_ns() // 1000
    assert reloading == {"RELOADING": "1", "STATUS": "reloading"}
    notifier.stopping()
    assert told(receiver) == {"STOPPING": "1", "STATUS": "draining"}

    notifier.close()
    notifier.close()
    assert not notifier.is_heard
    notifier.ready("nobody hears this")
    receiver.setblocking(False)
    with pytest.raises(BlockingIOError):
        receiver.recv(100)


def test_signs_of_life_feed_the_watchdog_only_where_there_is_one(manager: tuple[str, socket.socket]) -> None:
    address, receiver = manager
    with contextlib.closing(Notifier(address, watchdog_s=30)) as watched, contextlib.closing(Notifier(address)) as free:
        watched.alive("2 connections")
        assert told(receiver) == {"WATCHDOG": "1", "STATUS": "2 connections"}
        free.alive("2 connections")
        assert told(receiver) == {"STATUS": "2 connections"}
        assert watched.interval_s == 10  # three signs in the time that systemd waits for one
        assert Notifier(None, watchdog_s=1.5).interval_s == 0.5


def test_the_variables_are_read_and_taken_from_children(manager: tuple[str, socket.socket]) -> None:
    address, receiver = manager
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    with contextlib.closing(Notifier.from_environ(environ)) as notifier:
        assert environ == {"HOME": "/"}
        assert (notifier.watchdog_s, notifier.interval_s) == (3.0, 1.0)
        notifier.ready("-")
        assert told(receiver)["READY"] == "1"


@pytest.mark.parametrize(
    "environ",
    [
        {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"},  # meant for the process that started this one
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {},
    ],
)
def test_a_watchdog_of_somebody_else_is_none(environ: dict[str, str]) -> None:
    notifier = Notifier.from_environ(environ)
    assert (notifier.watchdog_s, notifier.is_heard, notifier.interval_s) == (None, False, 10)
    notifier.alive("nobody hears this")


@pytest.mark.parametrize("address", ["vsock:2:1234", "relative/path", ""])
def test_an_address_of_another_kind_is_told_and_left(address: str) -> None:
    with structlog.testing.capture_logs() as logs:
        assert not Notifier.from_environ({"NOTIFY_SOCKET": address}).is_heard
    assert [entry["event"] for entry in logs] == ["systemd.unreachable"]


def test_a_manager_that_is_not_there_stops_nothing(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        notifier = Notifier(str(tmp_path / "nobody"))
        notifier.ready("-")
    assert not notifier.is_heard
    assert logs[0]["event"] == "systemd.unreachable"


def test_a_manager_that_goes_away_or_hangs_stops_nothing(tmp_path: Path) -> None:
    """A full queue must not hold the event loop: the heartbeat is dropped, and said so."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        notifier = Notifier(address, watchdog_s=30)
        with structlog.testing.capture_logs() as logs:
            start = time.monotonic()
            while not logs:
                notifier.alive("nobody reads")
            assert time.monotonic() - start < 1
    with structlog.testing.capture_logs() as logs:
        notifier.ready("-")
    assert [entry["event"] for entry in logs] == ["systemd.unreachable"]
    notifier.close()


# ── a socket handed over ──


def test_there_is_no_socket_unless_it_is_meant_for_this_process() -> None:
    for environ in ({}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"}):
        assert take_listener(environ) is None
        assert environ == {}


def test_one_socket_is_served_not_several() -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}
    with pytest.raises(ConfigurationError, match="2 sockets"):
        take_listener(environ)


def test_a_listening_socket_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = adopt(os.dup(listening.fileno()))
        assert taken.getsockname() == listening.getsockname()
        assert not taken.get_inheritable()
        taken.close()


@pytest.mark.parametrize("kind", ["unix", "not listening", "datagram", "file"])
def test_anything_else_is_refused_in_words(kind: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        if kind == "unix":
            given: socket.socket | int = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            assert isinstance(given, socket.socket)
            given.bind(str(tmp_path / "socket"))
            given.listen()
        elif kind == "file":
            given = os.open(tmp_path / "file", os.O_CREAT | os.O_RDONLY)
            stack.callback(os.close, given)
        else:
            family = socket.SOCK_STREAM if kind == "not listening" else socket.SOCK_DGRAM
            given = stack.enter_context(socket.socket(socket.AF_INET, family))
        number = given if isinstance(given, int) else given.fileno()
        duplicate = os.dup(number)
        with pytest.raises(ConfigurationError, match=r"host: .*socket unit"):
            adopt(duplicate)
        if kind == "file":
            os.close(duplicate)
