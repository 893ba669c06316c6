"""The doctor's own WebSocket client, with the real server and with what is none."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest

from apex_rtm.doctor.wire import Cut, HandshakeRefused, Wire
from tests.doctor.conftest import SECURED
from tests.doctor.scripted import answering, http
from tests.support.server import ServerProcess, run_server

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.mark.slow
def test_a_conversation(open_server: ServerProcess) -> None:
    with Wire(open_server.url, CONTEXT) as wire:
        assert wire.local_ip == "127.0.0.1"
        assert wire.ask(type="subscribe", channel="wire", id=1)["type"] == "subscribed"
        with open_server.client() as publisher:
            publisher.post("/api/broadcast", json={"channel": "wire", "payload": 7})
        assert wire.receive(time.monotonic() + 5)["payload"] == 7
        with pytest.raises(TimeoutError):
            wire.receive(time.monotonic() + 0.05)


@pytest.mark.slow
def test_pings_are_noticed_and_answered(tmp_path: Path) -> None:
    with run_server(tmp_path / "data", ping_interval_s="2") as server, Wire(server.url, CONTEXT) as wire:
        assert wire.ask(type="connect")["type"] == "connected"
        for _ in range(2):  # without an answer to the first there would be no second
            wire.pings.clear()
            wire.await_ping(time.monotonic() + 8)


@pytest.mark.slow
def test_a_close_is_told_with_its_code(tmp_path: Path) -> None:
    with run_server(tmp_path / "data", **SECURED) as server, Wire(server.url, CONTEXT) as wire:
        assert wire.ask(type="connect", token="no token")["type"] == "error"
        with pytest.raises(Cut) as caught:
            wire.receive(time.monotonic() + 5)
    assert 4000 <= caught.value.code < 5000
    assert str(caught.value).startswith(f"closed with {caught.value.code}")


@pytest.mark.slow
def test_a_connection_that_breaks_is_1006(open_server: ServerProcess) -> None:
    with Wire(open_server.url, CONTEXT) as wire:
        wire.ask(type="ping")
        open_server.kill()
        with pytest.raises((Cut, ConnectionError)):
            wire.receive(time.monotonic() + 5)


@pytest.mark.parametrize(
    ("data", "status", "code", "location"),
    [
        (
            http("403 Forbidden", '{"ok": false, "code": "forbidden_origin", "message": "m"}'),
            403,
            "forbidden_origin",
            "",
        ),
        (http("302 Found", "", "Location: /login"), 302, None, "/login"),
        (http("200 OK", "[]"), 200, None, ""),
        (http("502 Bad Gateway", "<html>"), 502, None, ""),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 0, None, ""),
        (b"", 0, None, ""),
    ],
)
def test_a_refusal_keeps_what_was_said(data: bytes, status: int, code: str | None, location: str) -> None:
    with answering(data) as port, pytest.raises(HandshakeRefused) as caught:
        Wire(f"http://127.0.0.1:{port}", CONTEXT)
    assert (caught.value.status, caught.value.code, caught.value.location) == (status, code, location)
