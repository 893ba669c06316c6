"""The command line's client: it comes back after every cut, with the right position, and knows when not to."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.http11 import Response

from apex_rtm.errors import Refused
from apex_rtm.tail import Reached, Unreachable, _Follower, post, tail
from tests.support.certificate import make_certificate
from tests.support.script import Script, Visit, script


class Listening:
    """A `tail` that runs, and what it showed and noted."""

    def __init__(self, server: Script, *channels: str, token: str | None = None, count: int | None = None) -> None:
        self.server = server
        self.notes: list[str] = []
        self._shown: asyncio.Queue[str] = asyncio.Queue()
        self.task = asyncio.create_task(
            tail(server.url, channels, token, count, self._shown.put_nowait, self.notes.append)
        )

    async def shown(self, count: int) -> list[dict[str, Any]]:
        """The next publications that it showed."""
        async with asyncio.timeout(10):
            return [json.loads(await self._shown.get()) for _ in range(count)]

    async def visit(self, *answers: dict[str, Any]) -> tuple[Visit, list[dict[str, Any]]]:
        """Take the next connection, hear one command for each answer and answer them."""
        visit = await self.server.visit()
        commands = await visit.hear(len(answers))
        await visit.say(*answers)
        return visit, commands

    async def end(self) -> Reached:
        async with asyncio.timeout(10):
            return await self.task


@contextlib.asynccontextmanager
async def listening(*channels: str, **options: Any) -> AsyncIterator[Listening]:
    async with script() as server:
        made = Listening(server, *channels, **options)
        try:
            yield made
        finally:
            made.task.cancel()
            await asyncio.gather(made.task, return_exceptions=True)


def subscribed(channel: str, offset: int, *, recovered: bool = False, epoch: str = "e") -> dict[str, Any]:
    return {"type": "subscribed", "channel": channel, "epoch": epoch, "offset": offset, "recovered": recovered}


def publication(channel: str, offset: int) -> dict[str, Any]:
    return {"channel": channel, "eventName": None, "payload": None, "id": "x", "epoch": "e", "offset": offset}


async def test_it_subscribes_exact_names_first_and_each_once() -> None:
    """So that wildcards, which recover later, are not in the way of exact names (docs/protocol.md, section 6)."""
    async with listening("b*", "a", "b*", "c", token="t") as client:
        visit = await client.server.visit()

        assert await visit.hear(4) == [
            {"type": "connect", "token": "t"},
            {"type": "subscribe", "channel": "a"},
            {"type": "subscribe", "channel": "c"},
            {"type": "subscribe", "channel": "b*"},
        ]
        assert visit.socket.subprotocol == "rtm.v1"


async def test_it_ends_after_so_many_publications() -> None:
    async with listening("a", count=2) as client:
        visit, _ = await client.visit(subscribed("a", 5))
        await visit.say({"type": "pong"}, publication("a", 6), publication("a", 7), publication("a", 8))

        assert (await client.end()).status == 200
        assert await client.shown(2) == [publication("a", 6), publication("a", 7)]
        assert client._shown.empty()
        assert client.notes == ["listening on a from offset 5"]


@pytest.mark.parametrize("how", ["cut", 1012, 4001, 4002])
async def test_after_a_cut_it_comes_back_with_its_position(how: str | int) -> None:
    async with listening("a", "q", "a*", count=4) as client:
        visit, _ = await client.visit(subscribed("a", 5), subscribed("q", 0), subscribed("a*", 90, epoch="j"))
        await visit.say(publication("a", 6), publication("ab", 3))
        await visit.say({"type": "draining", "reconnectWithinMs": 0})
        assert [frame["offset"] for frame in await client.shown(2)] == [6, 3]
        if isinstance(how, int):
            await visit.close(how)
        else:
            visit.cut()

        visit, commands = await client.visit(
            subscribed("a", 6, recovered=True), subscribed("q", 0, recovered=True), subscribed("a*", 95, recovered=True)
        )

        assert [command["since"] for command in commands] == [
            {"epoch": "e", "offset": 6},
            {"epoch": "e", "offset": 0},
            {"epoch": "e", "offset": 3, "channel": "ab"},
        ]
        await visit.say(publication("a", 7), publication("q", 1))
        await client.end()
        assert [frame["offset"] for frame in await client.shown(2)] == [7, 1]
        assert f"connection lost ({1006 if how == 'cut' else how}), coming back" in client.notes


async def test_what_may_have_been_missed_is_noted_and_it_goes_on_from_there() -> None:
    async with listening("a") as client:
        visit, _ = await client.visit(subscribed("a", 5))
        visit.cut()
        visit, commands = await client.visit(subscribed("a", 1, epoch="new"))
        visit.cut()
        _, again = await client.visit(subscribed("a", 1, epoch="new", recovered=True))

        assert commands[0]["since"] == {"epoch": "e", "offset": 5}
        assert again[0]["since"] == {"epoch": "new", "offset": 1}
        assert client.notes.count("a: messages may have been missed") == 1


async def test_before_its_answer_nothing_moves_a_wildcard() -> None:
    """What `a` replays lies anywhere; the place of the wildcard is still the one before the cut."""
    async with listening("a", "a*") as client:
        visit, _ = await client.visit(subscribed("a", 0), subscribed("a*", 10, epoch="j"))
        visit.cut()
        visit = await client.server.visit()
        await visit.hear(2)
        await visit.say(subscribed("a", 0, recovered=True), publication("a", 1), publication("a", 2))
        await client.shown(2)
        visit.cut()
        _, commands = await client.visit(subscribed("a", 2, recovered=True), subscribed("a*", 10, recovered=True))

        assert [command["since"] for command in commands] == [{"epoch": "e", "offset": 2}, {"epoch": "j", "offset": 10}]


async def test_a_foreign_user_channel_does_not_move_a_wildcard_that_does_not_show_it() -> None:
    async with listening("user:KING", "*", token="t") as client:
        connected = {"type": "connected", "user": "SCOTT"}
        visit, _ = await client.visit(connected, subscribed("user:KING", 0), subscribed("*", 10, epoch="j"))
        await visit.say(publication("user:KING", 1))
        await client.shown(1)
        visit.cut()
        _, (_, exact, wildcard) = await client.visit(connected, subscribed("user:KING", 1), subscribed("*", 10))

        assert exact["since"] == {"epoch": "e", "offset": 1}
        assert wildcard["since"] == {"epoch": "j", "offset": 10}


async def test_after_a_close_without_a_reason_it_comes_back_too() -> None:
    async with listening("a", count=1) as client:
        visit, _ = await client.visit(subscribed("a", 5))
        await visit.close(1000)
        visit, (command,) = await client.visit(subscribed("a", 5, recovered=True))
        await visit.say(publication("a", 6))

        await client.end()
        assert command["since"] == {"epoch": "e", "offset": 5}


# ── when not to come back ──


@pytest.mark.parametrize("code", [4501, 4503, 4999])
async def test_a_close_that_says_so_ends_it(code: int) -> None:
    async with listening("a") as client:
        visit = await client.server.visit()
        await visit.close(code, "revoked")

        with pytest.raises(Refused, match=f"the server closed with {code} revoked"):
            await client.end()


async def test_a_refused_command_ends_it() -> None:
    async with listening("a") as client:
        await client.visit({"type": "error", "code": "forbidden", "message": "the token does not grant 'a'"})

        with pytest.raises(Refused, match="does not grant") as caught:
            await client.end()
        assert caught.value.code == "forbidden"


@pytest.fixture
def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


async def test_where_there_is_no_server_it_does_not_try_for_ever(free_port: int) -> None:
    with pytest.raises(Unreachable, match="is apex-rtm serve running there"):
        await tail(f"http://127.0.0.1:{free_port}", ["a"], None, None, print, print)


@pytest.mark.parametrize("url", ["", "nonsense", "http://", "http:///x"])
async def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(Unreachable, match="no WebSocket at"):
        await tail(url, ["a"], None, None, print, print)


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers every request in one way."""

    protocol_version = "HTTP/1.1"
    answer = (200, b"{}")
    seen: list[tuple[str, dict[str, str], bytes]]

    def do_GET(self) -> None:
        self._respond(b"")

    def do_POST(self) -> None:
        self._respond(self.rfile.read(int(self.headers["Content-Length"])))

    def _respond(self, body: bytes) -> None:
        self.seen.append((self.path, dict(self.headers), body))
        status, text = self.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        pass


@contextlib.contextmanager
def answering(status: int, text: bytes) -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    seen: list[tuple[str, dict[str, str], bytes]] = []
    handler = type("Handler", (Answering,), {"answer": (status, text), "seen": seen})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", seen
        finally:
            server.shutdown()
            thread.join()


async def test_a_refused_handshake_ends_it() -> None:
    with answering(403, b"open mode does not answer through a proxy") as (url, _), pytest.raises(Refused) as caught:
        await tail(url, ["a"], None, None, print, print)

    assert caught.value.message == "HTTP 403: open mode does not answer through a proxy"


def test_once_connected_a_server_that_restarts_is_waited_for() -> None:
    """Its proxy answers 502 for a while, or it ends in the middle of a handshake."""
    cut = InvalidMessage("did not receive a valid HTTP response")
    cut.__cause__ = EOFError("connection closed while reading HTTP status line")
    temporary = [InvalidStatus(Response(status, "", Headers())) for status in (502, 503)] + [cut, OSError("refused")]
    final = [InvalidStatus(Response(status, "", Headers())) for status in (401, 403, 404, 429)]
    follower = _Follower(["a"], None, None, print, print)

    assert [follower.judge(error) for error in temporary] == temporary
    follower._was_connected = True
    assert [follower.judge(error) for error in temporary] == [None] * 4
    assert [follower.judge(error) for error in final] == final


# ── publishing ──


def test_a_post_carries_body_and_key() -> None:
    with answering(200, b'{"ok": true, "offset": 5}\n') as (url, seen):
        answer = post(f"{url}/rtm/", "/api/broadcast", b'{"channel":"a"}', "the-key")

    assert (answer.status, answer.text, answer.body["offset"]) == (200, '{"ok": true, "offset": 5}', 5)
    ((path, headers, body),) = seen
    assert (path, headers["X-API-Key"], headers["Content-Type"]) == (
        "/rtm/api/broadcast",
        "the-key",
        "application/json",
    )
    assert body == b'{"channel":"a"}'


def test_without_a_key_none_is_sent() -> None:
    with answering(401, b'{"ok": false, "message": "an API key is needed"}') as (url, seen):
        answer = post(url, "/api/broadcast", b"{}", None)

    assert answer.message == "an API key is needed"
    assert "X-API-Key" not in seen[0][1]


@pytest.mark.parametrize("text", [b"<h1>Bad gateway</h1>", b"[1]", b"\xff"])
def test_an_answer_that_is_not_ours_is_shown_as_it_is(text: bytes) -> None:
    with answering(502, text) as (url, _):
        answer = post(url, "/api/broadcast", b"{}", None)

    assert (answer.status, answer.body, answer.message) == (502, {}, text.decode("utf-8", "replace"))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}", "https://127.0.0.1:{port}", "http://127.0.0.1:x", "", "nonsense"]
)
def test_where_nobody_answers_it_is_told(url: str, free_port: int) -> None:
    with pytest.raises(Unreachable, match="is apex-rtm serve running there"):
        post(url.format(port=free_port), "/api/broadcast", b"{}", None)


@pytest.fixture
def tls_port(tmp_path: Path) -> Iterator[int]:
    """A port that speaks TLS, with a certificate that nobody trusts."""
    pair = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("scheme", "remedy"), [("https", r"apex-rtm doctor --remote --only tls --url https://"), ("http", "try https://")]
)
async def test_a_wrong_scheme_or_certificate_is_told(tls_port: int, scheme: str, remedy: str) -> None:
    url = f"{scheme}://127.0.0.1:{tls_port}"

    with pytest.raises(Unreachable, match=remedy) as posting:
        await asyncio.to_thread(post, url, "/api/broadcast", b"{}", None)
    with pytest.raises(Unreachable, match=remedy):
        await tail(url, ["a"], None, None, print, print)

    assert str(posting.value).isprintable()


def test_a_key_that_no_header_holds_is_not_repeated() -> None:
    with answering(200, b"{}") as (url, _), pytest.raises(Unreachable) as caught:
        post(url, "/api/broadcast", b"{}", "top-secret\nx")

    assert "top-secret" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("url", ["http://[::1", "http://a..b"])
async def test_an_address_that_cannot_be_read_is_told(url: str) -> None:
    with pytest.raises(Unreachable):
        post(url, "/api/broadcast", b"{}", None)
    with pytest.raises(Unreachable):
        await tail(url, ["a"], None, None, print, print)
