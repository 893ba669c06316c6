"""What the doctor says of what stands in front: a real nginx with one line wrong, and the real server behind it."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from apex_rtm.doctor.check import State
from apex_rtm.doctor.proxy import _judge_ip
from apex_rtm.doctor.request import Answer
from tests.doctor.conftest import SECURED, MakePatient
from tests.doctor.nginx import RIGHT, run_nginx
from tests.doctor.scripted import answering, http
from tests.doctor.shown import bad, breaks, good, run
from tests.support.server import ServerProcess, run_server

UPGRADE = "proxy_set_header Upgrade $http_upgrade;"
CONNECTION = "proxy_set_header Connection $apex_rtm_connection;"
APPEND = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
PROXIED = {**SECURED, "trusted_proxies": "127.0.0.1", "ping_interval_s": "2"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that trusts nginx and pings often."""
    with run_server(tmp_path_factory.mktemp("proxied") / "data", **PROXIED) as running:
        yield running


def lines(server: ServerProcess, *changes: tuple[str, str]) -> str:
    """The right configuration with some lines of it changed."""
    text = RIGHT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return f"{text} proxy_pass http://127.0.0.1:{server.port};"


@pytest.mark.slow
def test_a_right_configuration_is_good(tmp_path: Path, make_patient: MakePatient, server: ServerProcess) -> None:
    with run_nginx(tmp_path / "nginx", lines(server)) as url:
        patient = make_patient({"url": url}, port=str(server.port))
        assert good("proxy.upgrade", patient) == "101 Switching Protocols"
        assert "lives on to the ping at " in good("proxy.idle", patient)
        assert "127.0.0.77" in good("proxy.client_ip", patient)
        assert "8388608 bytes" in good("proxy.body", patient)


@pytest.mark.slow
@breaks("proxy.upgrade")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([(UPGRADE, ""), (CONNECTION, "")], "200 instead of 101: it came through as a plain GET"),
        ([(UPGRADE, "")], "200 instead of 101"),
        ([("proxy_http_version 1.1;", "proxy_http_version 1.0;")], "instead of 101"),
    ],
)  # fmt: skip
def test_a_proxy_without_the_upgrade_lines_is_a_failure(
    tmp_path: Path, make_patient: MakePatient, server: ServerProcess, changes: list[tuple[str, str]], words: str
) -> None:
    with run_nginx(tmp_path / "nginx", lines(server, *changes)) as url:
        told = bad("proxy.upgrade", make_patient({"url": url}))
    assert words in told
    for line in ("proxy_http_version 1.1;", UPGRADE, "map $http_upgrade"):
        assert line in told


@pytest.mark.slow
@breaks("proxy.upgrade")
def test_a_proxy_without_a_server_is_a_failure(tmp_path: Path, make_patient: MakePatient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with run_nginx(tmp_path / "nginx", f"proxy_pass http://127.0.0.1:{port};") as url:
        told = bad("proxy.upgrade", make_patient({"url": url}, port=str(port)))
    assert "502 instead of 101" in told
    assert f"proxy_pass http://127.0.0.1:{port};" in told
    assert "setsebool -P httpd_can_network_connect 1" in told


@pytest.mark.slow
@breaks("proxy.upgrade")
def test_a_proxy_without_the_location_is_a_failure(
    tmp_path: Path, make_patient: MakePatient, server: ServerProcess
) -> None:
    with run_nginx(tmp_path / "nginx", lines(server), location="/api/") as url:
        told = bad("proxy.upgrade", make_patient({"url": url}, port=str(server.port)))
    assert "404" in told or "200" in told
    assert f"location = / {{ proxy_pass http://127.0.0.1:{server.port}; }}" in told


@breaks("proxy.upgrade")
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (http("400 Bad Request", "<html>"), "proxy_set_header Connection"),
        (http("401 Unauthorized"), "auth_basic off;"),
        (http("403 Forbidden", "<html>"), "allow all;"),
        (http("404 Not Found", "<html>"), "location = /"),
        (http("405 Method Not Allowed"), "location = /"),
        (http("426 Upgrade Required"), "proxy_http_version 1.1;"),
        (http("503 Service Unavailable", "<html>"), "systemctl status apex-rtm"),
        (http("504 Gateway Timeout"), "proxy_connect_timeout 5s;"),
        (http("418 Teapot"), "not an answer of this server"),
        (http("301 Moved", "", "Location: https://rtm.example.com/"), "--url https://rtm.example.com/"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "no HTTP: TLS on a plain port"),
        (http("403 Forbidden", '{"ok": false, "code": "open_mode", "message": "open mode"}'), "api_keys"),
        (http("503 Unavailable", '{"ok": false, "code": "unavailable", "message": "full"}'), "journalctl"),
    ],
)  # fmt: skip
def test_each_answer_other_than_101_is_explained(make_patient: MakePatient, data: bytes, words: str) -> None:
    with answering(data) as port:
        assert words in bad("proxy.upgrade", make_patient({"url": f"http://127.0.0.1:{port}"}))


@breaks("proxy.upgrade")
def test_an_address_that_a_stranger_sends_on_to_is_no_command(make_patient: MakePatient) -> None:
    """The certificate was not verified here: anybody on the way may have answered."""
    location = "https://rtm.example.com/;id|sh"
    with answering(http("302 Found", "", f"Location: {location}")) as port:
        told = bad("proxy.upgrade", make_patient({"url": f"http://127.0.0.1:{port}"}))
    (line,) = [line for line in told.splitlines() if line.startswith("apex-rtm doctor")]
    assert shlex.split(line)[:4] == ["apex-rtm", "doctor", "--url", location]


@breaks("proxy.upgrade")
def test_nobody_in_front_is_a_failure(make_patient: MakePatient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "Connection refused" in bad("proxy.upgrade", make_patient({"url": f"http://127.0.0.1:{port}"}))
    assert run("proxy.upgrade", make_patient()).state is State.SKIPPED


@pytest.mark.slow
@breaks("proxy.idle")
def test_a_proxy_that_cuts_before_the_ping_is_a_failure(tmp_path: Path, make_patient: MakePatient) -> None:
    slow = {**SECURED, "trusted_proxies": "127.0.0.1", "ping_interval_s": "8"}
    with run_server(tmp_path / "data", **slow) as server:
        text = f"{lines(server)} proxy_read_timeout 2s;"
        with run_nginx(tmp_path / "nginx", text) as url:
            told = bad("proxy.idle", make_patient({"url": url}))
    assert "cut after 2." in told
    assert "before the first ping at 8 s" in told
    assert "proxy_read_timeout 90s;" in told
    assert "ping_interval_s = 1" in told


@pytest.mark.slow
@breaks("proxy.idle")
def test_a_ping_that_is_too_rare_to_wait_for_is_warned_of(make_patient: MakePatient, server: ServerProcess) -> None:
    told = bad("proxy.idle", make_patient({"url": server.url, "patience_s": 0.5}), State.WARNING)
    assert "--wait 7" in told


@pytest.mark.slow
@breaks("proxy.client_ip")
@pytest.mark.parametrize(
    ("trusted", "change", "words"),
    [
        ("", ("", ""), "is taken for 127.0.0.1"),
        ("127.0.0.1", (APPEND, ""), "is taken for 203.0.113.77: limits by address are void"),
        ("127.0.0.0/8", ("", ""), "is taken for 203.0.113.77: limits by address are void"),
    ],
)  # fmt: skip
def test_a_forged_or_forgotten_address_is_a_failure(
    tmp_path: Path, make_patient: MakePatient, trusted: str, change: tuple[str, str], words: str
) -> None:
    """nginx passes on what the client wrote where nobody tells it to append."""
    with (
        run_server(tmp_path / "data", **SECURED, trusted_proxies=trusted) as server,
        run_nginx(tmp_path / "nginx", lines(server, change)) as url,
    ):
        told = bad("proxy.client_ip", make_patient({"url": url}))
    assert words in told
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in told
    assert 'trusted_proxies = ["127.0.0.1"]' in told


@pytest.mark.parametrize(
    ("seen", "state"),
    [("93.184.216.34", State.OK), ("10.0.0.1", State.FAILURE), ("", State.FAILURE), (None, State.FAILURE)],
)
def test_an_address_of_the_internet_is_a_clients_and_an_inner_one_a_proxys(seen: str | None, state: State) -> None:
    """Behind NAT a client does not know its own public address."""
    outcome = _judge_ip(seen, "192.0.2.5", Answer(200, {}, "{}"))
    assert outcome.state is state
    assert outcome.remedy or state is State.OK


@pytest.mark.slow
def test_without_a_key_nobody_can_be_asked(make_patient: MakePatient, server: ServerProcess) -> None:
    patient = make_patient({"url": server.url}, api_keys=None, jwt_secret=None)
    assert run("proxy.client_ip", patient).state is State.SKIPPED


@pytest.mark.slow
@breaks("proxy.body")
def test_a_proxy_that_refuses_large_bodies_is_a_failure(
    tmp_path: Path, make_patient: MakePatient, server: ServerProcess
) -> None:
    text = lines(server, ("client_max_body_size 8m;", "client_max_body_size 1m;"))
    with run_nginx(tmp_path / "nginx", text) as url:
        told = bad("proxy.body", make_patient({"url": url}))
    assert "refused with 413 before the server sees it" in told
    assert "client_max_body_size 8m;" in told


@breaks("proxy.body")
def test_a_refusal_that_comes_in_two_parts_is_the_servers_own(make_patient: MakePatient) -> None:
    """Headers first, the body with the next read: it was taken for a refusal of nginx."""
    start = b"HTTP/1.1 413 Content Too Large\r\nX-Padding: "
    headers = start + b"x" * (4096 - len(start) - 4) + b"\r\n\r\n"  # what is read at once, to the byte
    with answering(headers + b'{"ok": false, "message": "too large"}') as port:
        told = bad("proxy.body", make_patient({"url": f"http://127.0.0.1:{port}"}))
    assert "the server takes less than" in told


@pytest.mark.slow
@breaks("proxy.body")
def test_a_server_with_a_smaller_limit_is_a_failure(make_patient: MakePatient, server: ServerProcess) -> None:
    told = bad("proxy.body", make_patient({"url": server.url}, max_body_bytes=str(9 << 20)))
    assert "the server takes less than the 9437184 bytes" in told
    assert "systemctl restart apex-rtm" in told
    assert good("proxy.body", make_patient({"url": server.url}))
