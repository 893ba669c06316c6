"""The MLE module's real source against the real server: success and every way to fail."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.db.mle import run_module, send, websocket_sender_module
from tests.support.server import API_KEY, SECURED, ServerProcess, run_server
from tests.support.tokens import make_token
from tests.support.wire import wire

pytestmark = pytest.mark.slow

HARD_TEXT = 'Grüße, 𝄞 \u2028 " \\ \n </script> \u0000 日本語'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = {**SECURED, "max_message_bytes": 50_000}
    with run_server(tmp_path_factory.mktemp("data"), **settings) as process:
        yield process


@contextlib.contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Something that is not our server: a proxy's login page, a redirect. Gives its URL and what it received."""
    received: list[dict[str, str]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append({"body": text, **{name.lower(): value for name, value in self.headers.items()}})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing on the tests' output."""

    with HTTPServer(("127.0.0.1", 0), Answer) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", received
        http.shutdown()
        thread.join()


async def test_broadcast_arrives_as_it_was_written(server: ServerProcess) -> None:
    payload = '{"text": ' + json.dumps(HARD_TEXT, ensure_ascii=False) + ', "big": 12345678901234567890, "z": 1.10}'
    async with wire(server.ws_url, token=make_token("SCOTT", "mle:*")) as listener:
        await listener.subscribe("mle:1")

        (answer,) = await send(("sendBroadcast", [API_KEY, server.url, "mle:1", "grüß", payload]))

        assert answer == {"value": None}
        frame = str(await listener.socket.recv())
    assert '"big": 12345678901234567890, "z": 1.10' in frame, "numbers must not be rounded on the way"
    publication = json.loads(frame)
    assert publication["eventName"] == "grüß"
    assert publication["payload"]["text"] == HARD_TEXT


async def test_missing_event_name_and_payload_are_null(server: ServerProcess) -> None:
    """A null of PL/SQL arrives as null; an empty string is null in Oracle."""
    async with wire(server.ws_url, token=make_token("SCOTT", "mle:2")) as listener:
        await listener.subscribe("mle:2")

        answers = await send(
            ("sendBroadcast", [API_KEY, server.url + "/", "mle:2", None, None]),
            ("sendBroadcast", [API_KEY, server.url, "mle:2", "", ""]),
        )

        assert answers == [{"value": None}] * 2
        publications = await listener.publications(2)
    assert [(item["eventName"], item["payload"]) for item in publications] == [(None, None)] * 2


async def test_post_gives_status_and_body_of_any_answer(server: ServerProcess) -> None:
    url = f"{server.url}/api/broadcast"
    body = json.dumps({"channel": "mle:3", "payload": HARD_TEXT}, ensure_ascii=False)

    answers = await send(
        ("post", [url, API_KEY, body]),
        ("post", [url, "wrong", body]),
        ("post", [url, None, body]),
        ("post", [f"{server.url}/api/nothing", API_KEY, body]),
        ("post", [url, API_KEY, "{"]),
        ("post", [url, API_KEY, json.dumps({"channel": "mle:3", "payload": "x" * 50_001})]),
    )

    read = [json.loads(answer["value"]) for answer in answers]
    assert [item["status"] for item in read] == [200, 401, 401, 404, 400, 413]
    codes = [json.loads(item["body"]).get("code") for item in read]
    assert codes == [None, "unauthorized", "unauthorized", "not_found", "invalid_json", "too_large"]
    assert all(answer["value"].isascii() for answer in answers), "what comes back may cross any character set"


async def test_long_payload_beyond_ascii_arrives_whole(server: ServerProcess) -> None:
    text = "ü€𝄞" * 1_700
    async with wire(server.ws_url, token=make_token("SCOTT", "mle:4")) as listener:
        await listener.subscribe("mle:4")

        (answer,) = await send(
            ("sendBroadcast", [API_KEY, server.url, "mle:4", "e", json.dumps(text, ensure_ascii=False)])
        )

        (publication,) = await listener.publications(1) if "value" in answer else [answer]
    assert publication.get("payload") == text, answer


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (["wrong-key", "", "c", "e", "1"], "HTTP 401: unauthorized"),
        ([None, "", "c", "e", "1"], "HTTP 401: unauthorized"),
        ([API_KEY, "", "c", "e" * 131, "1"], "HTTP 400: bad_request"),
        ([API_KEY, "", "c" * 4001, "e", "1"], "HTTP 400: bad_request"),
        ([API_KEY, "", "c", "e", '"' + "x" * 50_001 + '"'], "HTTP 413: too_large"),
        ([API_KEY, "", "c", "e", "1e999"], "HTTP 400: invalid_json"),
        ([API_KEY, "/base", "c", "e", "1"], "HTTP 404: not_found"),
        ([API_KEY, "", "c", "e", '{"a": }'], "payload is not valid JSON, nothing was sent"),
        ([API_KEY, "", "c", "e", '1, "meta": {"user": "KING"}'], "payload is not valid JSON, nothing was sent"),
        ([API_KEY, "", None, "e", "1"], "channel is required"),
        ([API_KEY, "", "", "e", "1"], "channel is required"),
    ],
)
async def test_refusal_says_why_and_never_the_key(server: ServerProcess, call: list[str], words: str) -> None:
    key, path, *rest = call

    (answer,) = await send(("sendBroadcast", [key, server.url + path, *rest]))

    assert words in answer.get("error", f"no error: {answer}")
    assert API_KEY not in answer["error"]
    assert "wrong-key" not in answer["error"]


async def test_refused_messages_reach_nobody(server: ServerProcess) -> None:
    async with wire(server.ws_url, token=make_token("SCOTT", "mle:5")) as listener:
        await listener.subscribe("mle:5")

        await send(
            ("sendBroadcast", ["wrong-key", server.url, "mle:5", "e", "1"]),
            ("sendBroadcast", [API_KEY, server.url, "mle:5", "e", "1, 2"]),
            ("sendBroadcast", [API_KEY, server.url, "mle:5", "e" * 131, "1"]),
        )

        await listener.nothing_waits()


@pytest.mark.parametrize(
    "base_url",
    [
        "ftp://127.0.0.1",
        "http://user:password@127.0.0.1",
        "http://127.0.0.1?x=",
        "http://127.0.0.1#",
        "127.0.0.1",
        "http://127.0.0.1/ x",
        "http://127.0.0.1/\r\nX-Injected: 1",
        "javascript:1",
        "",
        None,
    ],
)
async def test_base_url_that_could_lead_elsewhere_is_refused(base_url: str | None) -> None:
    (answer,) = await send(("sendBroadcast", [API_KEY, base_url, "c", "e", "1"]))

    assert "base URL must be" in answer.get("error", f"no error: {answer}")


async def test_server_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with run_server(tmp_path) as gone:
        url = gone.url

    broadcast, post = await send(
        ("sendBroadcast", [API_KEY, url, "c", "e", "1"]), ("post", [f"{url}/api/broadcast", API_KEY, "{}"])
    )

    assert "error" in broadcast
    assert "error" in post
    assert API_KEY not in broadcast["error"] + post["error"]


async def test_page_of_a_proxy_is_quoted_and_cut() -> None:
    with answering(502, b"<html>" + b"x" * 5000) as (url, _):
        (answer,) = await send(("sendBroadcast", [API_KEY, url, "c", "e", "1"]))

    assert answer["error"].startswith("the server answered with HTTP 502: <html>xxx")
    assert len(answer["error"]) < 600


async def test_redirect_is_not_followed() -> None:
    """A redirect could carry the key to another host."""
    with (
        answering(200, b'{"ok": true}') as (elsewhere, received),
        answering(307, b"", Location=f"{elsewhere}/api/broadcast") as (url, _),
    ):
        (answer,) = await send(("sendBroadcast", [API_KEY, url, "c", "e", "1"]))

    assert "HTTP 307" in answer.get("error", f"no error: {answer}")
    assert received == []


async def test_request_names_its_type_and_carries_the_key_only_where_there_is_one() -> None:
    with answering(200, b"{}") as (url, received):
        await send(
            ("sendBroadcast", [API_KEY, url, "c", "e", "1"]),
            ("sendBroadcast", [None, url, "c", "e", "1"]),
        )

    assert [headers.get("x-api-key") for headers in received] == [API_KEY, None]
    assert {headers["content-type"] for headers in received} == {"application/json; charset=utf-8"}


async def test_everything_on_the_way_is_ascii() -> None:
    """No character set between the JavaScript and the server, or PL/SQL, can damage it."""
    with answering(200, f'"{HARD_TEXT[:5]}"'.encode()) as (url, received):
        _, answer = await send(
            ("sendBroadcast", [API_KEY, url, "größe", "ü", json.dumps(HARD_TEXT, ensure_ascii=False)]),
            ("post", [url, API_KEY, json.dumps({"channel": "日本"}, ensure_ascii=False)]),
        )

    bodies = [item["body"] for item in received]
    assert all(body.isascii() for body in bodies)
    assert [json.loads(body)["channel"] for body in bodies] == ["größe", "日本"]
    assert answer["value"].isascii()
    assert json.loads(answer["value"]) == {"status": 200, "body": '"Grüße"'}


async def test_ascii_json_means_the_same() -> None:
    texts = [json.dumps(text, ensure_ascii=False) for text in (HARD_TEXT, "", "😀 \u007f\u00ff", "plain")]

    answers = await send(*(("asciiJson", [text]) for text in texts))

    assert [json.loads(answer["value"]) for answer in answers] == [json.loads(text) for text in texts]
    assert all(answer["value"].isascii() for answer in answers)


async def test_host_gives_no_more_than_the_database_does() -> None:
    """What works here by a global of Node.js would be an error in the database."""
    source = """
import { fetch } from "mle-js-fetch";
export function globals() { return [typeof process, typeof setTimeout, typeof require, typeof fetch]; }
export async function abort() { return fetch("http://127.0.0.1:9", { signal: null }); }
"""
    names, abort = await run_module(source, ("globals", []), ("abort", []))

    assert names == {"value": ["undefined"] * 3 + ["function"]}
    assert "no option signal" in abort["error"]
    with pytest.raises(AssertionError, match="there is no module node:fs"):
        await run_module('import "node:fs";\nexport function f() {}', ("f", []))
    with pytest.raises(AssertionError, match="does not load"):
        await run_module("export function f( {}", ("f", []))


def test_module_is_the_one_that_the_call_specifications_name() -> None:
    exports = websocket_sender_module().exports()

    assert exports["sendBroadcast"] == ["apiKey", "baseUrl", "channel", "eventName", "payload"]
    assert exports["post"] == ["url", "apiKey", "body"]
