"""Whatever arrives, the answer says what is wrong, and the server goes on serving."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.raw import (
    BINARY,
    HOST,
    TEXT,
    UPGRADE,
    Answer,
    ask,
    command,
    masked,
    post,
    raw,
)
from tests.support.server import API_KEY, ServerProcess, run_server
from tests.support.tokens import make_token

KEY = f"X-API-Key: {API_KEY}\r\n".encode()


@pytest.fixture(autouse=True)
def _the_server_goes_on(shared_open: ServerProcess, shared_secured: ServerProcess) -> Iterator[None]:
    counts = [len(server.log) for server in (shared_open, shared_secured)]
    yield
    for server, count in zip((shared_open, shared_secured), counts, strict=True):
        assert ask(server.port, *post(b"/api/broadcast", b'{"channel":"alive"}', KEY)).status == 200
        # A caller's mistake is not a fault of the server: a traceback would bury the real ones.
        assert not [line for line in server.log[count:] if '"exception"' in line or '"error"' in line]


def _broadcast(server: ServerProcess, body: bytes, *headers: bytes) -> Answer:
    return ask(server.port, *post(b"/api/broadcast", body, *headers))


def _payload(json_text: bytes) -> bytes:
    return b'{"channel":"test","payload":%b}' % json_text


BODIES: dict[str, tuple[bytes, str, str]] = {
    "not JSON": (b"channel=test", "invalid_json", "not JSON"),
    "half a JSON": (b'{"channel":"test"', "invalid_json", "not JSON"),
    "two JSON": (b'{"channel":"test"}{}', "invalid_json", "not JSON"),
    "a comment": (b'{"channel":"test"/**/}', "invalid_json", "not JSON"),
    "single quotes": (b"{'channel':'test'}", "invalid_json", "not JSON"),
    "a byte order mark": (b'\xef\xbb\xbf{"channel":"test"}', "invalid_json", "not JSON"),
    "UTF-16": ('{"channel":"test"}'.encode("utf-16"), "invalid_json", "UTF-8"),
    "a raw line end in text": (b'{"channel":"te\nst"}', "invalid_json", "not JSON"),
    "NaN": (b'{"channel":"test","payload":NaN}', "invalid_json", "not JSON"),
    "Infinity": (b'{"channel":"test","payload":[-Infinity]}', "invalid_json", "not JSON"),
    "1e999": (b'{"channel":"test","payload":{"a":1e999}}', "invalid_json", "double"),
    "-1e999 in meta": (b'{"channel":"test","meta":{"a":-1E+999}}', "invalid_json", "double"),
    "5,000 digits": (b'{"channel":"test","payload":%b}' % (b"9" * 5000), "invalid_json", "double"),
    "5,000 digits after the point": (_payload(b"1.%be400" % (b"9" * 5000)), "invalid_json", "double"),
    "5,000 digits as channel": (b'{"channel":%b}' % (b"9" * 5000), "invalid_json", "double"),
    "5,000 digits beside the known": (b'{"channel":"test","x":%b}' % (b"9" * 5000), "invalid_json", "double"),
    "100,000 deep arrays": (_payload(b"[" * 100_000 + b"]" * 100_000), "invalid_json", "nested"),
    "100,000 deep objects": (_payload(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "invalid_json", "nested"),
    "100,000 open brackets": (b"[" * 100_000, "invalid_json", "nested"),
    "one deeper than allowed": (b'{"a":' + b"[" * 128 + b"]" * 128 + b',"channel":"test"}', "invalid_json", "nested"),
    "invalid UTF-8": (b'{"channel":"test","payload":"\xff"}', "invalid_json", "UTF-8"),
    "overlong UTF-8": (b'{"channel":"test","payload":"\xc0\xaf"}', "invalid_json", "UTF-8"),
    "a surrogate in UTF-8": (b'{"channel":"test","payload":"\xed\xa0\x80"}', "invalid_json", "UTF-8"),
    "a lone surrogate": (b'{"channel":"test","payload":"\\ud800"}', "invalid_json", "not JSON"),
    "a lone surrogate in a key": (b'{"channel":"test","payload":{"\\udfff":1}}', "invalid_json", "not JSON"),
    "surrogates the wrong way round": (b'{"channel":"\\udc00\\ud800"}', "invalid_json", "not JSON"),
    "a list": (b"[]", "bad_request", "object"),
    "null": (b"null", "bad_request", "object"),
    "a channel of 4,001 characters": (b'{"channel":"%b"}' % (b"c" * 4001), "bad_request", "at most 4000"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BODIES)
def test_a_bad_body_is_refused_with_its_reason(shared_open: ServerProcess, kind: str) -> None:
    body, code, words = BODIES[kind]
    answer = _broadcast(shared_open, body)
    assert (answer.status, answer.json["code"]) == (400, code)
    assert words in answer.json["message"]
    assert len(answer.body) < 400


def test_what_is_nested_as_deep_as_allowed_and_brackets_in_text_are_welcome(shared_open: ServerProcess) -> None:
    deepest = b'{"channel":"test","payload":' + b"[" * 127 + b"]" * 127 + b"}"
    text = b'{"channel":"test","payload":"%b\\"["}' % (b"[" * 5000)
    number = b'{"channel":"test","payload":[1.7976931348623157e308,%b]}' % (b"9" * 300)
    for body in (deepest, text, number):
        assert _broadcast(shared_open, body).status == 200


@pytest.mark.parametrize("path", [b"/api/tokens", b"/api/revoke", b"/api/broadcast/batch"])
@pytest.mark.parametrize(
    "body", [b"{", b"NaN", b"[" * 100_000, b'{"user":"\xff"}', b'{"user":"\\ud800"}'], ids=range(5)
)
def test_other_bodies_are_checked_as_strictly(shared_secured: ServerProcess, path: bytes, body: bytes) -> None:
    answer = ask(shared_secured.port, *post(path, body, KEY))
    assert (answer.status, answer.json["code"]) == (400, "invalid_json")


# ── size ──


def test_a_body_over_the_limit_is_refused_before_it_is_sent(shared_open: ServerProcess) -> None:
    for declared in (b"8388609", b"9" * 18, b"9" * 19):
        answer = ask(
            shared_open.port, b"POST /api/broadcast HTTP/1.1\r\n", HOST, b"Content-Length: ", declared, b"\r\n\r\n"
        )
        assert (answer.status, answer.json["code"]) == (413, "too_large")
        assert "max_body_bytes" in answer.json["message"]


def test_a_chunked_body_over_the_limit_is_refused_when_it_gets_there(shared_open: ServerProcess) -> None:
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with raw(shared_open.port) as socket:
        socket.send(b"POST /api/broadcast HTTP/1.1\r\n", HOST, b"Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(129):
                socket.send(chunk)
        answer = socket.answer()
    assert (answer.status, answer.json["code"]) == (413, "too_large")


def test_a_message_over_its_own_limit_is_refused_alone_and_in_a_batch(shared_open: ServerProcess) -> None:
    large = b'{"channel":"test","payload":"%b"}' % (b"x" * 1_048_576)
    alone = _broadcast(shared_open, large)
    batch = ask(shared_open.port, *post(b"/api/broadcast/batch", b'{"messages":[%b,{"channel":"test"}]}' % large))
    assert (alone.status, alone.json["code"]) == (413, "too_large")
    assert [result.get("code") for result in batch.json["results"]] == ["too_large", None]


# ── WebSocket ──


def _error_to(port: int, *frames: bytes) -> dict[str, object]:
    with raw(port) as socket:
        assert socket.upgrade().status == 101
        socket.send(*frames)
        opcode, text = socket.read_frame()
        assert opcode == TEXT
        error: dict[str, object] = json.loads(text)
        socket.send(command(type="ping"))  # an error alone leaves the connection as it was
        assert json.loads(socket.read_frame()[1]) == {"type": "pong"}
        return error


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"hello", "invalid_json"),
        (b"", "invalid_json"),
        (b'{"type":"ping"', "invalid_json"),
        (b'{"type":"ping","id":NaN}', "invalid_json"),
        (b'{"type":"ping","x":"\\ud800"}', "invalid_json"),
        (b"[" * 60_000, "bad_request"),
        (b'{"type":"ping","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}", "invalid_json"),
        (b"[]", "bad_request"),
        (b"null", "bad_request"),
        (b'{"type":"shout"}', "bad_request"),
        (b'{"type":"subscribe","channel":"%b"}' % (b"c" * 4001), "bad_request"),
        (b'{"type":"ping","id":1.5}', "bad_request"),
    ],
    ids=range(12),
)
def test_a_bad_frame_is_answered_with_an_error(shared_open: ServerProcess, text: bytes, code: str) -> None:
    error = _error_to(shared_open.port, masked(TEXT, text))
    assert (error["type"], error["code"]) == ("error", code)
    assert len(str(error["message"])) < 300


CLOSES: dict[str, tuple[bytes, int]] = {
    "binary": (masked(BINARY, b"{}"), 1003),
    "not UTF-8": (masked(TEXT, b'{"type":"\xff"}'), 1007),
    "over max_frame_bytes": (masked(TEXT, b" " * 65_537), 1009),
    "declared over max_frame_bytes": (b"\x81\xff" + (2**62).to_bytes(8) + b"mask", 1009),
    "over max_frame_bytes in fragments": (
        masked(TEXT, b" " * 40_000, fin=False) + masked(0, b" " * 40_000), 1009,
    ),
    "unmasked": (b"\x81\x02{}", 1002),
    "a reserved bit": (masked(TEXT, b"{}", rsv=4), 1002),
    "a reserved opcode": (masked(3, b"{}"), 1002),
    "a long control frame": (masked(9, b"x" * 126), 1002),
    "a continuation of nothing": (masked(0, b"{}"), 1002),
}  # fmt: skip


@pytest.mark.parametrize("kind", CLOSES)
def test_a_broken_frame_closes_with_the_code_of_its_fault(shared_open: ServerProcess, kind: str) -> None:
    frames, code = CLOSES[kind]
    with raw(shared_open.port) as socket:
        assert socket.upgrade().status == 101
        socket.send(frames)
        assert socket.read_close() == code


def test_an_old_listeners_url_with_a_channel_too_long_is_answered_with_an_error(shared_open: ServerProcess) -> None:
    with raw(shared_open.port) as socket:
        assert socket.upgrade(b"/?channel=" + b"c" * 4001).status == 101
        assert json.loads(socket.read_frame()[1])["code"] == "bad_request"


# ── handshakes ──

HANDSHAKES: dict[str, tuple[Callable[[], bytes], int]] = {
    "another path": (lambda: b"GET /ws HTTP/1.1\r\n" + HOST + UPGRADE, 404),
    "a path that is no URL": (lambda: b"GET //[ HTTP/1.1\r\n" + HOST + UPGRADE, 404),
    "HTTP/1.0": (lambda: b"GET / HTTP/1.0\r\n" + HOST + UPGRADE, 400),
    "POST": (lambda: b"POST / HTTP/1.1\r\n" + HOST + UPGRADE, 405),
    "a body": (lambda: b"GET / HTTP/1.1\r\n" + HOST + UPGRADE + b"Content-Length: 3\r\n", 400),
    "a chunked body": (lambda: b"GET / HTTP/1.1\r\n" + HOST + UPGRADE + b"Transfer-Encoding: chunked\r\n", 400),
    "no key": (lambda: b"GET / HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n", 400),
    "an old version": (lambda: b"GET / HTTP/1.1\r\n" + HOST + UPGRADE.replace(b"13", b"8"), 400),
    "a header line of 9,000 bytes": (
        lambda: b"GET / HTTP/1.1\r\n" + HOST + UPGRADE + b"Cookie: " + b"c" * 9000 + b"\r\n", 431,
    ),
    "a URL of 9,000 bytes": (lambda: b"GET /?channel=" + b"c" * 9000 + b" HTTP/1.1\r\n" + HOST + UPGRADE, 414),
}  # fmt: skip


@pytest.mark.parametrize("kind", HANDSHAKES)
@pytest.mark.parametrize("mode", ["shared_open", "shared_secured"])
def test_a_handshake_that_fails_is_refused_in_the_usual_form(
    request: pytest.FixtureRequest, mode: str, kind: str
) -> None:
    server: ServerProcess = request.getfixturevalue(mode)
    make, status = HANDSHAKES[kind]
    answer = ask(server.port, make(), b"\r\n")
    assert answer.status == status
    assert answer.json["ok"] is False
    assert answer.json["code"]
    assert answer.json["message"]


# ── keys and tokens, which never come back in an answer ──


def test_a_wrong_key_is_not_repeated_in_the_answer(shared_secured: ServerProcess) -> None:
    for key in (b"almost-right-key", b"\xff\xfe", b"k" * 20_000):
        answer = ask(shared_secured.port, *post(b"/api/broadcast", b"{}", b"X-API-Key: " + key + b"\r\n"))
        assert (answer.status, answer.json["code"]) == (401, "unauthorized")
        assert key not in answer.body


def test_a_wrong_key_is_refused_without_reading_the_body(shared_secured: ServerProcess) -> None:
    answer = ask(shared_secured.port, b"POST /api/broadcast HTTP/1.1\r\n", HOST, b"Content-Length: 8000000\r\n\r\n")
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")


def test_a_token_signed_by_somebody_else_is_not_repeated_in_the_answer(shared_secured: ServerProcess) -> None:
    token = make_token("SCOTT", "*", secret="somebody else's secret, thirty-two bytes")
    with raw(shared_secured.port) as socket:
        socket.upgrade()
        socket.send(command(type="connect", token=token))
        opcode, text = socket.read_frame()
        assert (opcode, json.loads(text)["code"], token.encode() in text) == (TEXT, "unauthorized", False)
        assert socket.read_close() == 4501


def test_a_channel_of_a_url_may_be_anything_and_is_never_a_fault(shared_secured: ServerProcess, tmp_path: Path) -> None:
    for name in (b"%00", b"%ff%fe", b"..%2f..%2fetc%2fpasswd", b"%0d%0aX-Injected:%201", b"'%20or%20'1'='1", b"%"):
        for view in (b"history", b"presence"):
            path = b"/api/channels/" + name + b"/" + view
            answer = ask(shared_secured.port, b"GET " + path + b" HTTP/1.1\r\n", HOST, KEY, b"\r\n")
            assert answer.status in (200, 400, 404)
            assert "x-injected" not in answer.headers
            assert isinstance(answer.json, dict)
    with run_server(tmp_path) as fresh, fresh.client() as http:
        http.get("/api/channels/asked/history")  # a question must not make a channel
        assert http.get("/api/channels").json()["channels"] == []
