"""Several processes on one port: started, looked after, and ended together."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apex_rtm.errors import ConfigurationError
from apex_rtm.listen import bind
from apex_rtm.settings import load_settings
from apex_rtm.workers import make_command, reserve, settings_of_worker
from tests.support.redis import RedisProcess
from tests.support.server import SECURED, ServerProcess

URL = "redis://127.0.0.1:1/0"


def test_one_process_keeps_a_log_and_several_need_redis() -> None:
    with pytest.raises(ConfigurationError, match=r"workers: 3 processes cannot share .*redis:"):
        load_settings({"workers": 3}, {})
    assert load_settings({"workers": 3, "engine": URL}, {}).workers == 3


def test_one_worker_relays_the_outbox() -> None:
    settings = load_settings(
        {"workers": 2, "engine": URL, "oracle_dsn": "db/x", "oracle_user": "u"}, {"APEX_RTM_ORACLE_PASSWORD": "p"}
    )

    assert settings_of_worker(settings, 0).oracle_dsn == "db/x"
    assert settings_of_worker(settings, 1).oracle_dsn is None


def test_the_port_is_kept_but_not_shared_with_strangers() -> None:
    settings = load_settings({"workers": 2, "engine": URL, "port": 0}, {})
    with reserve(settings) as kept:
        port = kept.getsockname()[1]
        settings = settings.model_copy(update={"port": port})
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        with bind(settings), bind(settings):  # two workers
            socket.create_connection(("127.0.0.1", port)).close()
            with pytest.raises(ConfigurationError, match=f"port: {port} on 127.0.0.1 is in use already"):
                reserve(settings)


def test_a_worker_is_the_same_program() -> None:
    assert make_command(["serve", "--workers", "2"])[1:] == ["-m", "apex_rtm", "serve", "--workers", "2"]


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    redis = RedisProcess(tmp_path / "redis").start()
    server = ServerProcess(tmp_path / "data", engine=redis.url, workers=2, **SECURED)
    server.start()
    yield server
    if server.process is not None:
        server.kill()
    redis.kill()


def published(server: ServerProcess) -> set[str]:
    """Publish through many connections, so that every worker gets some; the epochs of the answers."""
    epochs = set()
    for _ in range(20):
        with server.client() as http:
            answer = http.post("/api/broadcast", json={"channel": "a"})
            assert answer.status_code == 200, answer.text
            epochs.add(answer.json()["epoch"])
    return epochs


@pytest.mark.slow
def test_workers_share_a_log_and_one_that_dies_is_replaced(server: ServerProcess) -> None:
    workers = children(server.pid)
    assert len(workers) == 2
    assert len(published(server)) == 1, "all workers publish to one log"

    victim = min(workers)
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(children(server.pid) - {victim}) == 2)
    until(lambda: any("worker.died" in line for line in server.log))

    started = sum("server.started" in line for line in server.log)
    until(lambda: sum("server.started" in line for line in server.log) >= max(started, 3))
    assert len(published(server)) == 1
    assert server.stop() == 0
    assert sum("server.stopped" in line for line in server.log) == 2


@pytest.mark.slow
def test_workers_do_not_outlive_their_supervisor(server: ServerProcess) -> None:
    workers = children(server.pid)

    server.kill()

    until(lambda: not any(is_alive(worker) for worker in workers))


@pytest.mark.slow
def test_workers_that_cannot_start_end_the_supervisor(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", engine="redis://127.0.0.1:1/0", redis_timeout_s=1, workers=2, **SECURED)

    with pytest.raises(AssertionError, match="engine: Redis cannot be used"):
        server.start()

    assert server.process is not None
    assert server.process.stdout is not None
    server.process.stdout.close()
    assert server.process.wait(20) == 2
