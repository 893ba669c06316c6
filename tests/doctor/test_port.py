"""What the doctor says of the port, with the real server and with whatever else may be there."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from apex_rtm.doctor.check import State
from tests.doctor.conftest import SECURED, MakePatient
from tests.doctor.scripted import answering, http
from tests.doctor.shown import bad, breaks, good, run
from tests.support.certificate import make_certificate
from tests.support.server import ServerProcess, run_server


@pytest.mark.slow
def test_a_server_that_runs_is_good(make_patient: MakePatient, secured_server: ServerProcess) -> None:
    patient = make_patient(port=str(secured_server.port))
    assert good("port.listening", patient)
    assert f"process {secured_server.pid}" in good("port.ours", patient)
    assert good("port.ready", patient) == "ready to take messages"


@pytest.mark.slow
def test_a_server_with_its_own_certificate_is_good(tmp_path: Path, make_patient: MakePatient) -> None:
    """On this machine the name does not fit, and need not."""
    pair = make_certificate(tmp_path)
    files = {"tls_cert": str(pair.cert), "tls_key": str(pair.key)}
    with run_server(tmp_path / "data", **SECURED, **files) as server:
        patient = make_patient(port=str(server.port), **files)
        for name in ("config.files", "port.listening", "port.ours", "port.ready", "clock.server", "loop.publish"):
            assert good(name, patient), name


def test_a_server_elsewhere_has_no_port_here(make_patient: MakePatient) -> None:
    for name in ("port.listening", "port.ours", "port.ready"):
        assert run(name, make_patient({"is_remote": True})).state is State.SKIPPED


@breaks("port.listening")
def test_nobody_there_is_a_failure(make_patient: MakePatient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    told = bad("port.listening", make_patient(port=str(port), host="0.0.0.0"))
    assert f"nobody listens on 127.0.0.1:{port}: Connection refused" in told
    assert "systemctl start apex-rtm" in told
    assert "ss -ltnp | grep apex-rtm" in told
    assert "apex-rtm doctor --port N" in told
    assert "port is 0" in bad("port.listening", make_patient(port="0"))


@breaks("port.ours")
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (http("200 OK", "Welcome to nginx!"), "answers 200: Welcome to nginx!"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP"),
    ],
)
def test_another_program_on_the_port_is_a_failure(make_patient: MakePatient, data: bytes, words: str) -> None:
    with answering(data) as port:
        told = bad("port.ours", make_patient(port=str(port)))
    assert words in told
    assert f"ss -ltnp 'sport = :{port}'" in told
    assert f"port = {port + 1}" in told


@breaks("port.ready")
def test_a_server_that_cannot_take_messages_is_a_failure(make_patient: MakePatient) -> None:
    body = '{"ok": false, "code": "unavailable", "message": "the log cannot be written: disk is full"}'
    with answering(http("503 Service Unavailable", body)) as port:
        told = bad("port.ready", make_patient(port=str(port)))
    assert "disk is full" in told
    assert "journalctl -u apex-rtm" in told
    with answering(b"") as port:
        assert "no answer" in bad("port.ready", make_patient(port=str(port)))


@breaks("port.ours")
def test_a_server_in_open_mode_behind_another_name_says_so(make_patient: MakePatient) -> None:
    body = '{"ok": false, "code": "open_mode", "message": "open mode answers loopback names only"}'
    with answering(http("403 Forbidden", body)) as port:
        told = bad("port.ours", make_patient(port=str(port)))
    assert "a server in open mode answers" in told
    assert "systemctl restart apex-rtm" in told
