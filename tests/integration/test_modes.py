"""Open and secured: what each answers, and that open mode cannot become public by accident."""

from __future__ import annotations

import pytest

from tests.integration.raw import HOST, ask, post, raw
from tests.support.server import API_KEY, ServerProcess
from tests.support.tokens import make_token
from tests.support.wire import wire

PROXIED = [
    b"X-Forwarded-For: 203.0.113.9",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Host: localhost",
    b"Forwarded: for=203.0.113.9",
    b"X-Real-IP: 203.0.113.9",
    b"Via: 1.1 proxy",
]
FOREIGN_HOSTS = [
    b"rtm.yourdomain.com",
    b"evil.example:3000",
    b"127.0.0.1.evil.example",
    b"localhost@evil.example",
    b"192.168.1.5",
    b"",
]
FOREIGN_ORIGINS = [b"https://evil.example", b"null", b"http://localhost.evil.example", b"http://[", b"file://", b""]
OWN_HOSTS = [b"localhost", b"127.0.0.1", b"LOCALHOST:3000", b"[::1]:3000", b"127.9.9.9"]


def _check_refusal(body: dict[str, object], status: int) -> None:
    assert (status, body["code"], body["ok"]) == (403, "open_mode", False)
    assert "set api_keys and jwt_secret" in str(body["message"])


@pytest.mark.parametrize("header", PROXIED, ids=bytes.decode)
def test_open_mode_refuses_what_comes_through_a_proxy(shared_open: ServerProcess, header: bytes) -> None:
    answer = ask(shared_open.port, *post(b"/api/broadcast", b'{"channel":"test"}', header, b"\r\n"))
    _check_refusal(answer.json, answer.status)
    with raw(shared_open.port) as socket:
        refused = socket.upgrade(b"/", header, b"\r\n")
        _check_refusal(refused.json, refused.status)


@pytest.mark.parametrize("host", FOREIGN_HOSTS, ids=repr)
def test_open_mode_refuses_a_foreign_host(shared_open: ServerProcess, host: bytes) -> None:
    line = b"Host: " + host + b"\r\n"
    for path in (b"/", b"/health/live", b"/openapi.json", b"/no-such-path"):
        answer = ask(shared_open.port, b"GET ", path, b" HTTP/1.1\r\n", line, b"\r\n")
        _check_refusal(answer.json, answer.status)
    with raw(shared_open.port) as socket:
        refused = socket.upgrade(host=line)
        _check_refusal(refused.json, refused.status)


@pytest.mark.parametrize("count", [0, 2])
def test_open_mode_refuses_a_request_without_one_host(shared_open: ServerProcess, count: int) -> None:
    answer = ask(shared_open.port, b"GET / HTTP/1.1\r\n", HOST * count, b"\r\n")
    _check_refusal(answer.json, answer.status)


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS, ids=repr)
def test_open_mode_refuses_a_foreign_page(shared_open: ServerProcess, origin: bytes) -> None:
    header = b"Origin: " + origin + b"\r\n"
    answer = ask(shared_open.port, *post(b"/api/broadcast", b'{"channel":"test"}', header))
    _check_refusal(answer.json, answer.status)
    with raw(shared_open.port) as socket:
        refused = socket.upgrade(b"/", header)
        _check_refusal(refused.json, refused.status)


@pytest.mark.parametrize("host", OWN_HOSTS, ids=bytes.decode)
def test_open_mode_answers_this_machine(shared_open: ServerProcess, host: bytes) -> None:
    line = b"Host: " + host + b"\r\n"
    page = b"Origin: http://" + host + b"\r\n"
    assert ask(shared_open.port, b"GET / HTTP/1.1\r\n", line, page, b"\r\n").status == 200
    with raw(shared_open.port) as socket:
        assert socket.upgrade(b"/", page, host=line).status == 101


async def test_open_mode_lets_anybody_publish_and_subscribe_any_channel(
    shared_open: ServerProcess, channel: str
) -> None:
    async with wire(shared_open.ws_url) as anybody:
        await anybody.subscribe(channel)
        await anybody.subscribe(f"user:{channel}")
        with shared_open.client() as http:
            http.post("/api/broadcast", json={"channel": f"user:{channel}"})
        assert len(await anybody.publications(1)) == 1


async def test_open_mode_takes_a_connect_frame_and_does_not_look_at_its_token(shared_open: ServerProcess) -> None:
    async with wire(shared_open.ws_url) as client:
        answer = await client.ask(type="connect", token="nonsense", id="c")
        assert (answer["type"], answer["id"], answer["user"], answer["channels"]) == ("connected", "c", None, ["*"])


def test_open_mode_mints_no_tokens_and_says_what_to_set(shared_open: ServerProcess) -> None:
    with shared_open.client() as http:
        answer = http.post("/api/tokens", json={"user": "SCOTT", "sessionId": "1", "channels": ["test"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "open_mode")


SECURED_PATHS = [
    ("POST", "/api/broadcast"),
    ("POST", "/api/broadcast/batch"),
    ("POST", "/api/tokens"),
    ("POST", "/api/revoke"),
    ("GET", "/api/channels"),
    ("GET", "/api/channels/test/history"),
    ("GET", "/api/channels/test/presence"),
    ("GET", "/api/connections"),
]


@pytest.mark.parametrize(("method", "path"), SECURED_PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {API_KEY}"},
        {"Authorization": API_KEY},
        {"X-API-Key": f"{API_KEY}x"},
        {"X-API-Key": API_KEY[:-1]},
        {"X-API-Key": API_KEY.upper()},
    ],
    ids=repr,
)
def test_secured_mode_wants_a_key_for_everything_under_api(
    shared_secured: ServerProcess, method: str, path: str, headers: dict[str, str]
) -> None:
    lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
    answer = ask(
        shared_secured.port, f"{method} {path} HTTP/1.1\r\n".encode(), HOST, lines, b"Content-Length: 0\r\n\r\n"
    )
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")
    assert API_KEY not in answer.body.decode()


@pytest.mark.parametrize(
    "header",
    [f"X-API-Key: {API_KEY}", f"Authorization: Bearer {API_KEY}", f"authorization: bearer   {API_KEY}"],
)
def test_a_key_is_taken_from_either_header(shared_secured: ServerProcess, channel: str, header: str) -> None:
    body = b'{"channel":"%b"}' % channel.encode()
    answer = ask(shared_secured.port, *post(b"/api/broadcast", body, header.encode(), b"\r\n"))
    assert (answer.status, answer.json["ok"]) == (200, True)


async def test_secured_mode_answers_under_any_host_and_through_proxies(shared_secured: ServerProcess) -> None:
    for header in PROXIED:
        line = b"Host: rtm.yourdomain.com\r\n"
        assert ask(shared_secured.port, b"GET / HTTP/1.1\r\n", line, header, b"\r\n\r\n").status == 200


@pytest.mark.parametrize("kind", ["subscribe", "unsubscribe", "refresh"])
async def test_secured_mode_wants_connect_first(shared_secured: ServerProcess, channel: str, kind: str) -> None:
    async with wire(shared_secured.ws_url) as client:
        answer = await client.ask(type=kind, channel=channel, token=make_token("SCOTT", channel), id=3)
        assert (answer["type"], answer["code"], answer["id"]) == ("error", "unauthorized", 3)
        with shared_secured.client() as http:
            http.post("/api/broadcast", json={"channel": channel})
        await client.nothing_waits()


async def test_a_page_of_another_site_may_not_connect(shared_secured: ServerProcess) -> None:
    for origin in (b"https://evil.example", b"null", b"http://[", b"https://127.0.0.1:1"):
        with raw(shared_secured.port) as socket:
            refused = socket.upgrade(b"/", b"Origin: " + origin + b"\r\n")
        assert (refused.status, refused.json["code"]) == (403, "forbidden_origin"), origin
        assert "allowed_origins" in refused.json["message"]
    with raw(shared_secured.port) as socket:
        assert socket.upgrade(b"/", b"Origin: http://127.0.0.1\r\n").status == 101  # the same host
