"""Behind a real nginx with the configuration that deploy/ ships."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.nginx import NAME, Nginx, run_nginx
from tests.support.server import API_KEY, SECURED, ServerProcess, run_server
from tests.support.tokens import make_token
from tests.support.wire import wire

ORIGIN = "https://apex.example.com"


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[tuple[Nginx, ServerProcess]]:
    """nginx in front of a server in secured mode."""
    settings = {**SECURED, "allowed_origins": ORIGIN, "trusted_proxies": "127.0.0.1"}
    with run_server(tmp_path / "data", **settings) as server, run_nginx(tmp_path, server.port) as nginx:
        yield nginx, server


def request(nginx: Nginx, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
    """One HTTPS request by name, as the database sends it."""
    connection = http.client.HTTPSConnection(NAME, nginx.https_port, context=nginx.tls, timeout=10)
    connection.sock = nginx.tls.wrap_socket(
        socket.create_connection(("127.0.0.1", nginx.https_port)), server_hostname=NAME
    )
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text) if text.startswith(b"{") else {"text": text.decode()}


async def test_a_post_through_nginx_reaches_a_page_through_nginx(proxied: tuple[Nginx, ServerProcess]) -> None:
    nginx, _ = proxied
    tunnel: dict[str, Any] = {"ssl": nginx.tls, "host": "127.0.0.1", "port": nginx.https_port, "origin": ORIGIN}
    async with wire(f"wss://{NAME}:{nginx.https_port}/", token=make_token("SCOTT", "test"), **tunnel) as page:
        await page.subscribe("test")
        status, answer = await asyncio.to_thread(
            request, nginx, "POST", "/api/broadcast", {"channel": "test", "payload": "ü"}, **{"X-API-Key": API_KEY}
        )

        assert (status, answer["offset"]) == (200, 1)
        assert (await page.publications(1))[0]["payload"] == "ü"
        assert page.socket.subprotocol == "rtm.v1"


async def test_the_server_sees_the_client_and_not_the_proxy(proxied: tuple[Nginx, ServerProcess]) -> None:
    nginx, server = proxied
    tunnel: dict[str, Any] = {
        "ssl": nginx.tls,
        "host": "127.0.0.1",
        "port": nginx.https_port,
        "local_addr": ("127.0.0.5", 0),
    }
    spoofed: dict[str, Any] = {"additional_headers": {"X-Forwarded-For": "198.51.100.7"}}
    async with wire(f"wss://{NAME}:{nginx.https_port}/", token=make_token("SCOTT"), **tunnel, **spoofed):
        with server.client() as client:
            (connection,) = client.get("/api/connections").json()["connections"]

    assert connection["ip"] == "127.0.0.5", "what the client itself claims is further left and is not believed"


async def test_a_foreign_origin_is_refused_through_nginx(proxied: tuple[Nginx, ServerProcess]) -> None:
    nginx, _ = proxied
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
        "Origin": "https://evil.example",
    }
    status, answer = await asyncio.to_thread(request, nginx, "GET", "/", **upgrade)

    assert (status, answer["code"]) == (403, "forbidden_origin")


def test_a_wrong_key_and_the_health_check_through_nginx(proxied: tuple[Nginx, ServerProcess]) -> None:
    nginx, _ = proxied

    assert request(nginx, "POST", "/api/broadcast", {"channel": "test"}, **{"X-API-Key": "wrong"})[0] == 401
    assert request(nginx, "GET", "/") == (200, {"text": "RTM WebSocket / REST bridge is running"})


def test_plain_http_is_sent_to_https(proxied: tuple[Nginx, ServerProcess]) -> None:
    nginx, _ = proxied
    connection = http.client.HTTPConnection("127.0.0.1", nginx.http_port, timeout=10)
    connection.request("GET", "/api/channels?limit=1", headers={"Host": NAME})
    response = connection.getresponse()
    response.read()
    connection.close()

    assert response.status == 301
    assert response.headers["Location"] == f"https://{NAME}/api/channels?limit=1"


def test_open_mode_refuses_whatever_comes_through_the_proxy(tmp_path: Path) -> None:
    with run_server(tmp_path / "data") as server, run_nginx(tmp_path, server.port) as nginx:
        for method, path, body in (
            ("GET", "/", None),
            ("POST", "/api/broadcast", {"channel": "test"}),
            ("GET", "/api/channels", None),
        ):
            status, answer = request(nginx, method, path, body)
            assert (status, answer["code"]) == (403, "open_mode"), path
            assert "api_keys" in answer["message"]
        with server.client() as client:
            assert client.get("/api/channels").json()["channels"] == []
