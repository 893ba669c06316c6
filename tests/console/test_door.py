"""The door of the console, over HTTP as a browser and as an attacker would: login, cookies, origins, guessing."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.server import API_KEY, SECURED, ServerProcess, run_server
from tests.support.tokens import make_token
from tests.support.wire import wire

KEY = "a-key-for-the-console"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One in secured mode with a console, behind a proxy that it trusts."""
    settings = {"console_key": KEY, "trusted_proxies": "127.0.0.1", "allowed_origins": "https://apex.example.com"}
    with run_server(tmp_path_factory.mktemp("door"), **SECURED, **settings) as running:
        yield running


@contextlib.contextmanager
def browser(server: ServerProcess, ip: str = "192.0.2.1", **headers: str) -> Iterator[httpx.Client]:
    """A client that sends what a browser on the console's page sends."""
    usual = {"Origin": server.url, "X-Forwarded-For": ip}
    with httpx.Client(base_url=server.url, headers={**usual, **headers}) as client:
        yield client


def log_in(client: httpx.Client, key: str = KEY) -> httpx.Response:
    return client.post("/console/api/login", json={"key": key})


def test_without_a_login_nothing_is_told(server: ServerProcess) -> None:
    with browser(server) as client:
        assert client.get("/console/api/session").json() == {"ok": True, "signedIn": False, "needsLogin": True}
        for path in ("about", "figures", "users", "channels", "connections", "receipt?channel=a", "channels/a/history"):
            answer = client.get(f"/console/api/{path}")
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), path
        for path in ("publish", "revoke", "ask", "pass", "logout"):
            answer = client.post(f"/console/api/{path}", json={})
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), path


def test_the_key_opens_it_and_the_cookie_is_kept_from_scripts_and_other_sites(server: ServerProcess) -> None:
    with browser(server) as client:
        answer = log_in(client)
        cookie = answer.headers["set-cookie"]
        words = {word.strip().lower() for word in cookie.split(";")}

        assert {"httponly", "samesite=strict", "path=/console"} <= words
        assert "secure" not in words
        assert KEY not in cookie
        assert client.get("/console/api/session").json()["signedIn"] is True
        assert client.get("/console/api/about").json()["mode"] == "secured"
        assert client.get("/console/api/users").headers["cache-control"] == "no-store"
        # The cookie belongs to /console: nothing else takes it.
        assert client.get("/api/channels").status_code == 401


def test_over_https_the_cookie_is_secure(server: ServerProcess) -> None:
    host = server.url.removeprefix("http://")
    with browser(server, Origin=f"https://{host}", **{"X-Forwarded-Proto": "https"}) as client:
        assert "secure" in log_in(client).headers["set-cookie"].lower()


@pytest.mark.parametrize("key", ["", API_KEY, KEY[:-1], KEY + " ", "ü" * 20])
def test_no_other_key_opens_it(server: ServerProcess, key: str) -> None:
    with browser(server, ip=f"198.51.100.{len(key)}") as client:
        answer = log_in(client, key)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert "set-cookie" not in answer.headers


def test_an_api_key_or_a_token_is_no_login(server: ServerProcess) -> None:
    for headers in ({"X-API-Key": API_KEY}, {"Authorization": f"Bearer {make_token('SCOTT', '*')}"}):
        with browser(server, **headers) as client:
            assert client.get("/console/api/about").status_code == 401
    with browser(server) as client:
        client.cookies.set("apex_rtm_console", make_token("SCOTT", "*"), path="/console")
        assert client.get("/console/api/about").status_code == 401


def test_guessing_is_slowed_down_for_who_guesses_only(server: ServerProcess) -> None:
    with browser(server, ip="203.0.113.9") as guesser, browser(server, ip="203.0.113.10") as other:
        codes = [log_in(guesser, f"guess-{number}").json()["code"] for number in range(8)]
        assert codes == ["unauthorized"] * 5 + ["rate_limited"] * 3
        assert log_in(guesser).status_code == 429, "the right key must not tell that it is right"
        assert log_in(other).status_code == 200


def test_who_has_the_key_may_come_and_go(server: ServerProcess) -> None:
    with browser(server, ip="203.0.113.11") as client:
        assert [log_in(client).status_code for _ in range(20)] == [200] * 20


def test_an_ipv6_network_is_one_guesser(server: ServerProcess) -> None:
    codes = []
    for number in range(7):
        with browser(server, ip=f"2001:db8:1:2::{number}") as client:
            codes.append(log_in(client, "wrong").status_code)

    assert codes == [401] * 5 + [429] * 2


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example.com"}, {"Origin": "null"}, {"Origin": ""}, {"Sec-Fetch-Site": "cross-site"},
     {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://["}, {"X-Forwarded-Proto": "https"}],
)  # fmt: skip
def test_a_page_of_somebody_else_changes_nothing(server: ServerProcess, headers: dict[str, str]) -> None:
    with browser(server, ip="192.0.2.77") as client:
        assert log_in(client).status_code == 200
        for path in ("publish", "revoke", "ask?channel=a", "pass", "logout", "login"):
            answer = client.post(f"/console/api/{path}", headers=headers, json={"channel": "a", "key": KEY})
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden_origin"), path
        assert client.get("/console/api/channels/a/history").json()["publications"] == []


def test_a_login_that_is_too_large_or_no_json_is_refused(server: ServerProcess) -> None:
    with browser(server, ip="192.0.2.78") as client:
        assert log_in(client, "x" * 10_000).status_code == 413
        assert client.post("/console/api/login", content=b"key=x").status_code == 400
        assert client.post("/console/api/login", json=["x"]).status_code == 400


def test_of_a_login_that_is_too_large_no_more_is_read(server: ServerProcess) -> None:
    """Who has no key yet could otherwise have the server hold megabytes for each try."""
    address = server.url.removeprefix("http://").split(":")
    head = (
        "POST /console/api/login HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nX-Forwarded-For: 192.0.2.81\r\n"
        "Transfer-Encoding: chunked\r\n\r\n1800\r\n"
    )
    with socket.create_connection((address[0], int(address[1])), timeout=10) as client:
        client.sendall(head.encode() + b"x" * 0x1800)  # and the last chunk does not come
        assert b" 413 " in client.recv(4096).split(b"\r\n")[0]


async def test_logging_out_ends_the_cookie_and_the_connections(server: ServerProcess) -> None:
    with browser(server, ip="192.0.2.79") as client:
        log_in(client)
        cookie = client.cookies["apex_rtm_console"]
        token = client.post("/console/api/pass").json()["token"]
        async with wire(server.ws_url, token=token) as operator:
            assert client.post("/console/api/logout").json() == {"ok": True}
            assert (await operator.receive())["type"] == "error"
            assert await operator.close_code() == 4501
        assert "apex_rtm_console" not in client.cookies
        client.cookies.set("apex_rtm_console", cookie, path="/console")
        assert client.get("/console/api/about").status_code == 401


async def test_a_page_of_this_host_may_connect_beside_the_allowed_ones(server: ServerProcess) -> None:
    with browser(server, ip="192.0.2.80") as client:
        log_in(client)
        token = client.post("/console/api/pass").json()["token"]
    async with wire(server.ws_url, token=token, origin=server.url) as operator:
        await operator.subscribe("user:SCOTT")


def test_open_mode_needs_no_login_but_is_deaf_to_other_pages(tmp_path: Path) -> None:
    with run_server(tmp_path / "data") as server, browser(server) as client:
        del client.headers["X-Forwarded-For"]
        assert client.get("/console/api/session").json() == {"ok": True, "signedIn": True, "needsLogin": False}
        assert client.get("/console/api/about").json()["mode"] == "open"
        assert "set-cookie" not in client.post("/console/api/pass").headers
        other = {"Origin": "http://127.0.0.1:8080"}  # another program of this machine
        assert client.post("/console/api/publish", headers=other, json={"channel": "a"}).status_code == 403
        assert client.post("/console/api/publish", json={"channel": "a"}).status_code == 200


async def test_signing_out_of_open_mode_shuts_nobody_out(tmp_path: Path) -> None:
    with run_server(tmp_path / "data") as server, browser(server) as client:
        del client.headers["X-Forwarded-For"]
        assert client.post("/console/api/logout").json() == {"ok": True}
        token = client.post("/console/api/pass").json()["token"]
        async with wire(server.ws_url, token=token) as operator:
            await operator.subscribe("a")


def test_open_mode_with_a_key_wants_it(tmp_path: Path) -> None:
    with run_server(tmp_path / "data", console_key=KEY) as server, browser(server) as client:
        del client.headers["X-Forwarded-For"]
        assert client.get("/console/api/about").status_code == 401
        assert log_in(client).status_code == 200
        assert client.get("/console/api/about").status_code == 200


def test_no_key_and_no_pass_is_logged(tmp_path: Path) -> None:
    with run_server(tmp_path / "data", **SECURED, console_key=KEY) as server:
        with browser(server) as client:
            del client.headers["X-Forwarded-For"]
            log_in(client, "a-wrong-key-somebody-typed")
            log_in(client)
            token = client.post("/console/api/pass").json()["token"]
            cookie = client.cookies["apex_rtm_console"]
        server.stop()

    text = "".join(server.log)
    assert "console.login_refused" in text
    assert "console.login" in text
    for secret in (KEY, "a-wrong-key-somebody-typed", token, cookie):
        assert secret not in text
