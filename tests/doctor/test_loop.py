"""What the doctor says of the whole way, on real servers."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import pytest

from apex_rtm.doctor.check import State
from apex_rtm.doctor.loop import await_nonce, listen
from apex_rtm.doctor.patient import CHANNEL
from tests.doctor.conftest import API_KEY, JWT_SECRET, SECURED, MakePatient
from tests.doctor.nginx import RIGHT, run_nginx
from tests.doctor.scripted import answering, http
from tests.doctor.shown import bad, breaks, good, run
from tests.support.server import ServerProcess, run_server


@pytest.mark.slow
def test_a_message_arrives(tmp_path: Path, make_patient: MakePatient, open_server: ServerProcess) -> None:
    with run_server(tmp_path / "secured", **SECURED) as server:
        assert "published and received in" in good("loop.publish", make_patient({"url": server.url}))
    patient = make_patient(port=str(open_server.port), api_keys=None, jwt_secret=None)
    assert "published and received in" in good("loop.publish", patient)


@pytest.mark.slow
@breaks("loop.publish")
def test_another_key_or_secret_than_the_servers_is_a_failure(tmp_path: Path, make_patient: MakePatient) -> None:
    with run_server(tmp_path / "data", **SECURED) as server:
        other = secrets.token_hex(32)
        told = bad("loop.publish", make_patient({"url": server.url}, api_keys=other))
        assert "refuses the key" in told
        assert "api_keys must be the same" in told
        assert other not in told
        told = bad("loop.publish", make_patient({"url": server.url}, jwt_secret=other))
        assert "refuses a token" in told
        assert "jwt_secret must be the same" in told
        assert other not in told
        assert API_KEY not in told
        assert JWT_SECRET not in told


@pytest.mark.slow
@breaks("loop.publish")
def test_a_doctor_without_the_configuration_of_a_secured_server_asks_for_it(
    tmp_path: Path, make_patient: MakePatient
) -> None:
    with run_server(tmp_path / "data", **SECURED) as server:
        patient = make_patient({"url": server.url}, api_keys=None, jwt_secret=None)
        told = bad("loop.publish", patient)
        quiet = run("proxy.idle", patient)
    assert "the server is in secured mode and this configuration names no keys" in told
    assert "apex-rtm doctor --config " in told
    assert "jwt_secret" not in told
    assert (quiet.state, quiet.saw) == (State.SKIPPED, told.splitlines()[0])


@pytest.mark.slow
@breaks("loop.publish")
def test_two_servers_behind_one_address_are_a_failure(tmp_path: Path, make_patient: MakePatient) -> None:
    """WebSockets go to one of them, messages to the other."""
    settings = {**SECURED, "trusted_proxies": "127.0.0.1"}
    with run_server(tmp_path / "one", **settings) as one, run_server(tmp_path / "two", **settings) as two:
        text = f"""{RIGHT}
            set $there http://127.0.0.1:{two.port};
            if ($http_upgrade) {{ set $there http://127.0.0.1:{one.port}; }}
            proxy_pass $there;"""
        with run_nginx(tmp_path / "nginx", text) as url:
            told = bad("loop.publish", make_patient({"url": url}))
    assert "not delivered within 5 s" in told
    assert "one server only in nginx's upstream" in told


@pytest.mark.slow
@breaks("loop.publish")
def test_a_proxy_without_the_api_is_a_failure(tmp_path: Path, make_patient: MakePatient) -> None:
    with run_server(tmp_path / "data", **SECURED) as server:
        text = f"{RIGHT} proxy_pass http://127.0.0.1:{server.port};"
        with run_nginx(tmp_path / "nginx", text, location="= /") as url:
            told = bad("loop.publish", make_patient({"url": url}))
    assert "404 for /api/broadcast" in told
    assert "location /api/" in told


@breaks("loop.publish")
def test_no_websocket_is_a_failure(make_patient: MakePatient) -> None:
    with answering(http("502 Bad Gateway")) as port:
        assert "no WebSocket: HTTP 502" in bad("loop.publish", make_patient({"url": f"http://127.0.0.1:{port}"}))


@pytest.mark.slow
def test_the_message_of_another_doctor_is_not_ones_own(make_patient: MakePatient, open_server: ServerProcess) -> None:
    """Two of them at once share the channel."""
    patient = make_patient(port=str(open_server.port), api_keys=None, jwt_secret=None)
    with listen(patient) as wire, open_server.client() as publisher:
        for payload in ({"nonce": "another"}, "no object", {"nonce": "own"}):
            publisher.post("/api/broadcast", json={"channel": CHANNEL, "payload": payload})
        found = await_nonce(wire, "own", time.monotonic() + 5)
        assert found is not None
        assert found["offset"] == 3
        assert await_nonce(wire, "own", time.monotonic() + 0.05) is None
