"""The real server under a service manager: readiness, watchdog, a port that stays open, restarts that lose nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.manager import ActivatedServer, Manager, run_manager
from tests.support.nginx import NAME, PAGE, Proxy, run_nginx
from tests.support.server import SECURED, ServerProcess, run_server
from tests.support.tokens import make_token
from tests.support.wire import wire

BEHIND_NGINX = {**SECURED, "trusted_proxies": "127.0.0.1", "allowed_origins": PAGE}


def _told(manager: Manager) -> list[str]:
    """The turns of a life, without the signs of life in between."""
    firsts = [text.split("\n")[0] for _, text in manager.heard]
    return [first.split("=")[0] for first in firsts if not first.startswith("WATCHDOG")]


def test_the_service_manager_hears_the_whole_life(tmp_path: Path) -> None:
    with run_manager(tmp_path) as manager:
        server = ServerProcess(tmp_path / "data")
        server.environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "600000"}
        server.start()
        manager.wait_for("READY")
        with server.client() as http:
            assert http.get("/health/ready").status_code == 200
        manager.wait_for("WATCHDOG", 3)
        os.kill(server.pid, signal.SIGHUP)
        manager.wait_for("READY", 2)
        assert server.stop() == 0
        manager.wait_for("STOPPING")
        assert _told(manager) == ["READY", "RELOADING", "READY", "STOPPING"]
        assert manager.lines("STATUS")[0] == "open mode, 0 WebSocket connections"


def test_a_process_that_stands_still_shows_no_life_and_says_where_it_stood(tmp_path: Path) -> None:
    """What systemd does after WatchdogSec: SIGABRT. The journal then has the place, and no value of any variable."""
    with run_manager(tmp_path) as manager:
        server = ServerProcess(tmp_path / "data", **SECURED)
        server.environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "300000"}
        server.start()
        manager.wait_for("WATCHDOG", 2)
        os.kill(server.pid, signal.SIGSTOP)
        stopped_at = time.monotonic()
        assert not _comes_within(manager, 0.6)
        assert [text for at, text in manager.heard if at > stopped_at + 0.2] == []
        process, server.process = server.process, None
        assert process is not None
        process.send_signal(signal.SIGABRT)
        process.send_signal(signal.SIGCONT)
        assert process.wait(10) == -signal.SIGABRT
        assert process.stdout is not None
        process.stdout.close()
        server._collector.join(10)
    said = "".join(server.log)
    assert "Fatal Python error: Aborted" in said
    assert "service.py" in said or "app.py" in said or "cli.py" in said
    assert SECURED["jwt_secret"] not in said
    assert SECURED["api_keys"] not in said


def _comes_within(manager: Manager, seconds: float) -> bool:
    count = len(manager.lines("WATCHDOG"))
    try:
        manager.wait_for("WATCHDOG", count + 2, seconds)  # one may have been on its way
    except AssertionError:
        return False
    return True


# ── the port that stays open ──


def test_open_mode_refuses_a_socket_that_others_can_reach(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        server = ActivatedServer(tmp_path / "data", listener)
        with pytest.raises(
            AssertionError, match=r"the socket unit listens on 0\.0\.0\.0, and open mode on loopback only"
        ):
            server.start()
        assert server.process is not None
        assert server.process.wait(10) == 2
        assert server.process.stdout is not None
        server.process.stdout.close()
        server.process = None


async def test_who_connects_while_it_restarts_waits_and_is_served(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ActivatedServer(tmp_path / "data", listener)
        server.start()
        assert server.port == listener.getsockname()[1]
        assert server.stop() == 0
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as early:
            early.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            server.start()
            assert early.recv(100).startswith(b"HTTP/1.1 200")
        assert server.stop() == 0


@dataclass
class Stream:
    """Publishers that go on over everything that happens, and what became of each message."""

    proxy: Proxy
    answers: list[tuple[int, str]] = field(default_factory=list)
    slowest_s: float = 0
    ending: threading.Event = field(default_factory=threading.Event)

    def publish(self) -> None:
        with self.proxy.client(timeout_s=30) as http:
            while not self.ending.is_set():
                start = time.monotonic()
                try:
                    answer = http.post("/api/broadcast", json={"channel": "steady"})
                    self.answers.append((answer.status_code, answer.text[:100]))
                except httpx.TransportError as error:
                    self.answers.append((0, repr(error)))
                self.slowest_s = max(self.slowest_s, time.monotonic() - start)

    def run(self, what: Callable[[], None], publishers: int = 3) -> list[tuple[int, str]]:
        """Publish while something happens; return the failures."""
        threads = [threading.Thread(target=self.publish) for _ in range(publishers)]
        for thread in threads:
            thread.start()
        try:
            what()
        finally:
            self.ending.set()
            for thread in threads:
                thread.join()
        return [answer for answer in self.answers if answer[0] != 200]

    def after(self, count: int) -> None:
        """Until so many more were answered."""
        wanted, deadline = len(self.answers) + count, time.monotonic() + 20
        while len(self.answers) < wanted:
            assert time.monotonic() < deadline, self.answers[-3:]
            time.sleep(0.01)


def test_restarts_behind_nginx_fail_no_publish(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """One server, restarted as `systemctl restart` does, again and again, while publishers do not pause."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        server = ActivatedServer(tmp_path / "data", listener, **BEHIND_NGINX)
        server.start()
        with run_nginx(tmp_path / "nginx", server.port) as proxy:
            stream = Stream(proxy)

            def restart() -> None:
                for _ in range(3):
                    stream.after(50)
                    assert server.stop() == 0
                    server.start()
                stream.after(50)

            failures = stream.run(restart)
            with server.client() as http:
                logged = http.get("/api/channels/steady/history", params={"limit": 1}).json()["offset"]
        assert server.stop() == 0
    figures = (
        f"{len(stream.answers)} publishes over 3 restarts, {len(failures)} failed, slowest {stream.slowest_s:.2f} s"
    )
    record_property("figures", figures)
    print(figures)
    assert failures == []
    assert logged == len(stream.answers)  # each of them once


def test_a_drain_with_a_second_server_fails_no_publish(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Two servers behind nginx; one stops and comes back while publishers do not pause."""
    with (
        run_server(tmp_path / "one", **BEHIND_NGINX) as first,
        run_server(tmp_path / "two", **BEHIND_NGINX) as second,
        run_nginx(tmp_path / "nginx", first.port, second.port) as proxy,
    ):
        stream = Stream(proxy)

        def roll() -> None:
            for server in (first, second):
                stream.after(50)
                assert server.stop() == 0
                stream.after(50)
                server.start()
                # nginx asks a server that was down again after fail_timeout, 2 s; the roll must not outrun it.
                deadline = time.monotonic() + 20
                while not _answers(server, stream):
                    assert time.monotonic() < deadline

        failures = stream.run(roll)
        figures = f"{len(stream.answers)} publishes over 2 stops of one of two, {len(failures)} failed"
        record_property("figures", figures)
        print(figures)
        assert failures == []


def _answers(server: ServerProcess, stream: Stream) -> bool:
    """Tell whether nginx sends messages to this server again."""
    with server.client() as http:
        before = http.get("/api/channels/steady/history", params={"limit": 1}).json()["offset"]
        stream.after(20)
        return bool(http.get("/api/channels/steady/history", params={"limit": 1}).json()["offset"] > before)


async def test_pages_come_back_over_a_restart_behind_nginx(tmp_path: Path) -> None:
    """A WebSocket is told to come back, is not refused in between, and misses nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        server = ActivatedServer(tmp_path / "data", listener, **BEHIND_NGINX, reconnect_spread_s=0)
        await asyncio.to_thread(server.start)
        with run_nginx(tmp_path / "nginx", server.port) as proxy:
            options: dict[str, Any] = {
                "host": "127.0.0.1",
                "port": proxy.https_port,
                "ssl": proxy.context,
                "origin": PAGE,
            }
            token = make_token("SCOTT", "steady")
            async with wire(f"wss://{NAME}/", token=token, **options) as client:
                position = await client.subscribe("steady")
                stopping = asyncio.create_task(asyncio.to_thread(server.stop))
                assert (await client.receive())["type"] == "draining"
                assert await client.close_code() == 1012
                assert await stopping == 0
            with proxy.client() as http:
                sending = asyncio.create_task(
                    asyncio.to_thread(http.post, "/api/broadcast", json={"channel": "steady"})
                )
                coming = asyncio.create_task(_come_back(token, options, position))
                await asyncio.to_thread(server.start)
                assert (await sending).status_code == 200
                assert await coming == 1
        assert server.stop() == 0


async def _come_back(token: str, options: dict[str, Any], position: dict[str, Any]) -> object:
    async with wire(f"wss://{NAME}/", token=token, open_timeout=20, **options) as client:
        since = {"epoch": position["epoch"], "offset": position["offset"]}
        await client.send(type="subscribe", channel="steady", since=since)
        offset = None
        while offset is None:
            frame = await client.receive()
            offset = frame.get("offset") if "type" not in frame else None
        return offset


# ── what the sandbox allows ──

STRACE, ANALYZE = shutil.which("strace"), shutil.which("systemd-analyze")


def _allowed() -> set[str]:
    """Names of system calls that the unit lets through, as this systemd understands its lines."""
    unit = (Path(__file__).resolve().parents[2] / "deploy" / "apex-rtm.service").read_text()
    filters = re.findall(r"^SystemCallFilter=(~?)(.*)$", unit, re.MULTILINE)
    allowed: set[str] = set()
    for inverted, groups in filters:
        names = set().union(*(_group(name) for name in groups.split()))
        allowed = allowed - names if inverted else allowed | names
    return allowed


def _group(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    assert ANALYZE is not None
    shown = subprocess.run([ANALYZE, "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    members = [line.strip() for line in shown.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return set().union(*(_group(member) for member in members))


@pytest.mark.skipif(
    not STRACE or not ANALYZE, reason="strace and systemd-analyze are needed: apt install strace systemd"
)
def test_the_server_needs_no_system_call_that_its_unit_forbids(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    server = ServerProcess(tmp_path / "data", **SECURED)
    server.command = ("-c", f"import os, sys; os.execv({STRACE!r}, ['strace', '-f', '-o', {str(trace)!r}, '-qq', "
                            f"{sys.executable!r}, '-m', 'apex_rtm', 'serve'])")  # fmt: skip
    server.start()
    with server.client() as http:
        assert http.post("/api/broadcast", json={"channel": "test"}).status_code == 200
    child = int(subprocess.run(["pgrep", "-P", str(server.pid)], capture_output=True, text=True, check=True).stdout)
    os.kill(child, signal.SIGTERM)
    process, server.process = server.process, None
    assert process is not None
    assert process.wait(20) == 0
    assert process.stdout is not None
    process.stdout.close()
    used = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE))
    assert {"epoll_wait", "fsync"} & used or {"epoll_pwait", "fdatasync"} & used  # it did see the server at work
    # SQLite gives files away only when it is root.
    tolerated = {"fchown"} if os.geteuid() == 0 else set()
    assert used - _allowed() <= tolerated, used - _allowed()


# ── its log ──


def test_a_log_file_may_be_copied_and_emptied_while_it_runs(tmp_path: Path) -> None:
    """logrotate with copytruncate: the next line is the first of the file again, with no zero bytes before it."""
    log = tmp_path / "apex-rtm.log"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("APEX_RTM_")}
    environ |= {"APEX_RTM_DATA_DIR": str(tmp_path / "data"), "APEX_RTM_PORT": "0"}
    with log.open("ab") as appended:  # as systemd opens StandardError=append:
        process = subprocess.Popen(
            [sys.executable, "-m", "apex_rtm", "serve"], env=environ, stdout=subprocess.PIPE, stderr=appended
        )
        assert process.stdout is not None
        assert b"listens on" in process.stdout.readline()
        assert b"server.started" in log.read_bytes()
        os.truncate(log, 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        process.stdout.close()
    lines = log.read_bytes().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["server.stopped"]


def test_the_server_writes_no_code_into_its_memory(tmp_path: Path) -> None:
    """MemoryDenyWriteExecute=: the kernel's own form of it, where it is new enough (Linux 6.3)."""
    deny = "import ctypes, sys; sys.exit(ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) and 77)"  # PR_SET_MDWE
    if subprocess.run([sys.executable, "-c", deny], check=False).returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    server = ServerProcess(tmp_path / "data", **SECURED)
    server.command = (
        "-c",
        "import ctypes, os, sys; assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0; import runpy; "
        "sys.argv = ['apex-rtm', 'serve']; runpy.run_module('apex_rtm', run_name='__main__', alter_sys=True)",
    )
    server.start()
    with server.client() as http:
        assert http.post("/api/broadcast", json={"channel": "test"}).status_code == 200
    assert server.stop() == 0
