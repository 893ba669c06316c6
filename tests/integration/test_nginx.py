"""The bridge behind a real nginx, with the file that `apex-rtm deploy nginx` prints."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import async_playwright

from tests.support.chromium import ARGUMENTS, find_chromium
from tests.support.nginx import NAME, PAGE, Proxy, run_nginx
from tests.support.server import SECURED, ServerProcess, run_server
from tests.support.tokens import make_token
from tests.support.wire import wire

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Proxy]]:
    """A server in secured mode behind nginx."""
    directory = tmp_path_factory.mktemp("nginx")
    with (
        run_server(directory / "data", **SECURED, trusted_proxies="127.0.0.1", allowed_origins=PAGE) as server,
        run_nginx(directory / "nginx", server.port) as proxy,
    ):
        yield server, proxy


async def test_a_websocket_and_a_post_pass_through(secured: tuple[ServerProcess, Proxy]) -> None:
    _, proxy = secured
    async with wire(
        f"wss://{NAME}/", token=make_token("SCOTT", "test"), host="127.0.0.1", port=proxy.https_port,
        ssl=proxy.context, origin=PAGE,
    ) as client:  # fmt: skip
        assert client.socket.subprotocol == "rtm.v1"
        await client.subscribe("test")
        with proxy.client() as http:
            for number in range(20):  # over kept connections, which "Connection: upgrade" would not allow
                sent = {"channel": "test", "eventName": "ping", "payload": number}
                assert http.post("/api/broadcast", json=sent).status_code == 200
        assert [p["payload"] for p in await client.publications(20)] == list(range(20))


async def test_the_client_is_seen_not_the_proxy_and_cannot_lie(secured: tuple[ServerProcess, Proxy]) -> None:
    server, proxy = secured
    options: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": proxy.https_port,
        "ssl": proxy.context,
        "local_addr": ("127.0.0.7", 0),
    }
    forged = {"X-Forwarded-For": "198.51.100.1", "X-Real-IP": "198.51.100.2", "Forwarded": "for=198.51.100.3"}
    token = make_token("KING", "test")
    async with (
        wire(f"wss://{NAME}/", token=token, **options),
        wire(f"wss://{NAME}/", token=token, additional_headers=forged, **options),
    ):
        with server.client() as http:
            listed = http.get("/api/connections", params={"user": "KING"}).json()["connections"]
    assert [one["ip"] for one in listed] == ["127.0.0.7", "127.0.0.7"]


async def test_a_page_of_another_site_is_refused_through_the_proxy_too(secured: tuple[ServerProcess, Proxy]) -> None:
    _, proxy = secured
    handshake = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": "https://evil.example",
    }  # fmt: skip
    with proxy.client() as http:
        answer = http.get("/", headers=handshake)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden_origin")


def test_http_is_sent_to_https_and_certificates_can_be_renewed(secured: tuple[ServerProcess, Proxy]) -> None:
    _, proxy = secured
    (proxy.web_root / ".well-known" / "acme-challenge" / "token").write_text("the challenge")
    base = f"http://127.0.0.1:{proxy.http_port}"
    redirected = httpx.get(f"{base}/any?x=1", headers={"Host": NAME})
    other = httpx.get(f"{base}/any", headers={"Host": "evil.example"})
    challenge = httpx.get(f"{base}/.well-known/acme-challenge/token", headers={"Host": NAME})
    assert (redirected.status_code, redirected.headers["location"]) == (301, f"https://{NAME}/any?x=1")
    assert other.headers["location"] == f"https://{NAME}/any"
    assert redirected.headers["server"] == "nginx"
    assert (challenge.status_code, challenge.text) == (200, "the challenge")


def test_the_root_health_and_refusals_pass_through(secured: tuple[ServerProcess, Proxy]) -> None:
    _, proxy = secured
    with proxy.client() as http:
        assert http.get("/").text == "RTM WebSocket / REST bridge is running"
        assert http.get("/health/ready").status_code == 200
        wrong = http.post("/api/broadcast", json={"channel": "test"}, headers={"X-API-Key": "wrong"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthorized")
        nothing = http.post("/api/broadcast", json={})
        assert (nothing.status_code, nothing.json()["message"]) == (400, "channel is required")
        batch = {"messages": [{"channel": "test", "payload": "x" * 900_000}] * 8}
        assert http.post("/api/broadcast/batch", json=batch).status_code == 200  # a full body passes nginx as well
        assert http.post("/api/broadcast", content=b" " * 9_000_000).status_code == 413


async def test_a_restart_of_the_server_is_survived(secured: tuple[ServerProcess, Proxy]) -> None:
    """Kept connections of nginx are dead after a restart; the next POST must not be the one that finds out."""
    server, proxy = secured
    with proxy.client() as http:
        assert http.post("/api/broadcast", json={"channel": "restart"}).status_code == 200
        server.stop()
        assert http.post("/api/broadcast", json={"channel": "restart"}).status_code == 502
        server.start()
        deadline = time.monotonic() + 15  # nginx tries a server that was down again after fail_timeout, 10 s
        while (answer := http.post("/api/broadcast", json={"channel": "restart"})).status_code != 200:
            assert time.monotonic() < deadline, answer.text
        assert answer.json()["offset"] == 2


async def test_open_mode_refuses_everything_through_a_proxy(tmp_path: Path) -> None:
    """The mistake that must be impossible: a server that checks nobody, on the internet by way of nginx."""
    with run_server(tmp_path / "data") as server, run_nginx(tmp_path / "nginx", server.port) as proxy:
        for host in (NAME, "localhost", "127.0.0.1"):
            with proxy.client() as http:
                for path in ("/", "/health/live"):
                    answer = http.get(path, headers={"Host": host})
                    assert (answer.status_code, answer.json()["code"]) == (403, "open_mode")
                answer = http.post("/api/broadcast", json={"channel": "test"}, headers={"Host": host})
                assert (answer.status_code, answer.json()["code"]) == (403, "open_mode")
                assert "set api_keys and jwt_secret" in answer.json()["message"]
        handshake = {
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }  # fmt: skip
        with proxy.client() as http:
            answer = http.get("/", headers={**handshake, "Host": "localhost"})
        assert (answer.status_code, answer.json()["code"]) == (403, "open_mode")


async def test_a_browser_talks_through_it(secured: tuple[ServerProcess, Proxy]) -> None:
    """A page of the allowed origin, in Chromium, by the server's own name: TLS, Origin, upgrade, token, message."""
    _, proxy = secured
    token = make_token("SCOTT", "browser")
    async with async_playwright() as playwright:
        arguments = [
            *ARGUMENTS, f"--host-resolver-rules=MAP {NAME} 127.0.0.1", "--ignore-certificate-errors",
            # Chromium would ask the user before a page of the internet reaches an address of this machine.
            "--disable-features=LocalNetworkAccessChecks",
        ]  # fmt: skip
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        page = await browser.new_page(ignore_https_errors=True)
        await page.route(f"{PAGE}/**", lambda route: route.fulfill(body="<p>a page</p>", content_type="text/html"))
        await page.goto(f"{PAGE}/ords/page")
        connected = await page.evaluate(
            """([url, token]) => new Promise((resolve, reject) => {
                const socket = new WebSocket(url, 'rtm.v1');
                window.frames_ = [];
                socket.onopen = () => socket.send(JSON.stringify({type: 'connect', token}));
                socket.onclose = (event) => reject(new Error('closed ' + event.code));
                socket.onmessage = (event) => {
                    const frame = JSON.parse(event.data);
                    window.frames_.push(frame);
                    if (frame.type === 'connected') {
                        socket.send(JSON.stringify({type: 'subscribe', channel: 'browser', id: 1}));
                    }
                    if (frame.type === 'subscribed') { resolve(socket.protocol); }
                };
            })""",
            [f"wss://{NAME}:{proxy.https_port}/", token],
        )
        assert connected == "rtm.v1"
        with proxy.client() as http:
            sent = {"channel": "browser", "eventName": "ping", "payload": {"value": "Hello"}}
            assert http.post("/api/broadcast", json=sent).status_code == 200
        handle = await page.wait_for_function("window.frames_.find((frame) => !frame.type)")
        assert (await handle.json_value())["payload"] == {"value": "Hello"}
        await browser.close()
