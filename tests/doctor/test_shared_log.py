"""What the doctor says of Redis, with a real one."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from apex_rtm.doctor.check import State
from apex_rtm.doctor.patient import Patient
from tests.doctor.conftest import MakePatient
from tests.doctor.shown import bad, breaks, good, run

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")
PASSWORD = "a-password-of-redis"
ALL = ("redis.reachable", "redis.release", "redis.eviction", "redis.durability")


@contextlib.contextmanager
def run_redis(directory: Path, **options: str) -> Iterator[int]:
    """A server for the time of a `with` block; give its port."""
    if PROGRAM is None:
        pytest.skip("not run: redis-server is not installed: apt install redis-server")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    command = [PROGRAM, "--port", str(port), "--dir", str(directory), "--bind", "127.0.0.1", "--save", ""]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", value]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 10
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                except ConnectionRefusedError:
                    assert time.monotonic() < deadline, "Redis did not start"
                else:
                    break
            yield port
        finally:
            process.terminate()


def with_redis(patient: Patient, url: str, **settings: Any) -> Patient:
    """The patient with this engine, whether or not this release of the settings knows it."""
    patient.settings = patient.known.model_copy(update={"engine": url, **settings})
    return patient


@pytest.mark.slow
def test_a_redis_in_good_health(tmp_path: Path, make_patient: MakePatient) -> None:
    with run_redis(tmp_path, appendonly="yes", appendfsync="always", requirepass=PASSWORD) as port:
        url = f"redis://127.0.0.1:{port}/0"
        secret = SecretStr(PASSWORD)
        patient = with_redis(make_patient(), url, redis_password=secret, redis_durable=True)
        assert good("redis.reachable", patient) == f"127.0.0.1:{port} answers"
        assert "edis" in good("redis.release", patient) or "Valkey" in good("redis.release", patient)
        assert good("redis.eviction", patient) == "maxmemory-policy noeviction"
        assert good("redis.durability", patient) == "appendonly yes, appendfsync always"
        login = f":{PASSWORD}@"
        for hosts in (f"redis://{login}127.0.0.1:{port}", f"redis+cluster://{login}127.0.0.1:1,127.0.0.1:{port}"):
            assert good("redis.reachable", with_redis(make_patient(), hosts)), "one host that answers is enough"
        assert run("data.writable", patient).state is State.SKIPPED


def test_without_redis_nothing_is_asked(make_patient: MakePatient) -> None:
    assert run("redis.reachable", make_patient()).state is State.SKIPPED
    assert "new epochs" in good("redis.durability", make_patient())


@pytest.mark.slow
@breaks("redis.reachable")
@pytest.mark.parametrize("password", [None, SecretStr("another-password")])
def test_a_wrong_password_is_a_failure(tmp_path: Path, make_patient: MakePatient, password: SecretStr | None) -> None:
    with run_redis(tmp_path, requirepass=PASSWORD) as port:
        patient = with_redis(make_patient(), f"redis://127.0.0.1:{port}", redis_password=password)
        told = bad("redis.reachable", patient)
    assert "refuses the login" in told
    assert "redis_password = " in told
    assert "another-password" not in told


@breaks("redis.reachable")
@pytest.mark.parametrize("url", ["redis://127.0.0.1:{}", "redis+sentinel://127.0.0.1:{}/main"])
def test_nobody_there_is_a_failure(make_patient: MakePatient, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    told = bad("redis.reachable", with_redis(make_patient(), url.format(port)))
    assert f"127.0.0.1:{port} cannot be reached: Connection refused" in told
    assert "systemctl status redis" in told


@pytest.mark.slow
@breaks("redis.eviction")
def test_a_redis_that_forgets_is_warned_of(tmp_path: Path, make_patient: MakePatient) -> None:
    with run_redis(tmp_path, maxmemory_policy="allkeys-lru") as port:
        told = bad("redis.eviction", with_redis(make_patient(), f"redis://127.0.0.1:{port}"), State.WARNING)
    assert "redis-cli config set maxmemory-policy noeviction" in told


@pytest.mark.slow
@breaks("redis.durability")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"appendonly": "no"}, "no append-only file"),
        ({"appendonly": "yes", "appendfsync": "everysec"}, "appendfsync is everysec"),
    ],
)
def test_a_promise_that_redis_does_not_keep_is_a_failure(
    tmp_path: Path, make_patient: MakePatient, options: dict[str, str], words: str
) -> None:
    with run_redis(tmp_path, **options) as port:
        told = bad("redis.durability", with_redis(make_patient(), f"redis://127.0.0.1:{port}", redis_durable=True))
    assert words in told
    assert "redis_durable = false" in told


@breaks("redis.release")
def test_an_old_redis_is_a_failure(make_patient: MakePatient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apex_rtm.doctor.shared_log._info", lambda _patient: {"redis_version": "5.0.14"})
    assert "6.2 is needed" in bad("redis.release", make_patient())
