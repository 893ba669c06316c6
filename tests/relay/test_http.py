"""The door over HTTP: what each answer means, kept connections, servers that answer before the body or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from apex_rtm.errors import ConfigurationError
from apex_rtm.relay.door import BatchRejected, NotNow, Rejected, Taken
from apex_rtm.relay.http import HttpDoor, read_answer
from tests.support.server import API_KEY, ServerProcess

MESSAGE = b'{"channel":"a","eventName":null,"payload":1,"id":"m1"}'
TAKEN = b'{"ok":true,"results":[{"ok":true,"id":"m1","epoch":"e.1","offset":7}]}'

Handler = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A server of a few lines: hands each request's head to `handler`, which may do what it likes."""

    def __init__(self, handler: Handler) -> None:
        self.heads: list[bytes] = []
        self.connections = 0
        self._serving: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._handler = handler

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._serving[writer] = asyncio.current_task()
        with contextlib.suppress(EOFError, OSError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                await self._handler(head, reader, writer)
        writer.close()

    async def end(self) -> None:
        for writer, task in self._serving.items():
            writer.transport.abort()
            if task is not None:
                await task


@contextlib.asynccontextmanager
async def listening(
    handler: Handler, *, timeout_s: float = 5.0, key: str | None = None
) -> AsyncIterator[tuple[Peer, HttpDoor]]:
    peer = Peer(handler)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    door = HttpDoor(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/rtm/", key, timeout_s)
    try:
        yield peer, door
    finally:
        await door.close()
        server.close()
        await peer.end()


def length_of(head: bytes) -> int:
    return next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))


def answer(status: int, body: bytes, *, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n%b" % (status, headers, len(body), body)


async def take(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(length_of(head))
    writer.write(answer(200, TAKEN))


async def test_a_batch_goes_out_with_the_key_and_comes_back_with_positions() -> None:
    async with listening(take, key="secret") as (peer, door):
        assert await door.publish([MESSAGE]) == [Taken("e.1", 7)]
    lines = peer.heads[0].split(b"\r\n")
    assert lines[0] == b"POST /rtm/api/broadcast/batch HTTP/1.1"
    assert b"X-API-Key: secret" in lines


async def test_one_connection_is_kept_and_replaced_when_the_server_has_closed_it() -> None:
    async def close_after_two(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(head, reader, writer)
        if len(peer.heads) == 2:
            await writer.drain()
            writer.close()

    async with listening(close_after_two) as (peer, door):
        for _ in range(4):
            assert await door.publish([MESSAGE]) == [Taken("e.1", 7)]
        assert peer.connections == 2


async def test_a_server_that_says_close_is_believed() -> None:
    async def say_close(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(length_of(head))
        writer.write(answer(200, TAKEN, headers=b"Connection: close\r\n"))

    async with listening(say_close) as (peer, door):
        await door.publish([MESSAGE])
        await door.publish([MESSAGE])
        assert peer.connections == 2


async def test_a_large_body_is_asked_for_first_so_that_a_refusal_is_not_lost() -> None:
    async def refuse(head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"Expect: 100-continue" in head
        writer.write(answer(413, b"<html>Request Entity Too Large</html>"))
        await writer.drain()
        writer.close()

    async with listening(refuse) as (_, door):
        with pytest.raises(BatchRejected, match="413"):
            await door.publish([b'{"payload":"%b"}' % (b"x" * 500_000)])


async def test_a_large_body_follows_when_the_server_wants_it() -> None:
    async def go_on(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await take(head, reader, writer)

    async with listening(go_on) as (_, door):
        assert await door.publish([b'{"payload":"%b"}' % (b"x" * 500_000)]) == [Taken("e.1", 7)]


async def test_a_large_body_follows_when_nobody_answers_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apex_rtm.relay.http._ASK_WAIT_S", 0.05)
    async with listening(take) as (_, door):
        assert await door.publish([b'{"payload":"%b"}' % (b"x" * 500_000)]) == [Taken("e.1", 7)]


async def test_no_answer_in_time_is_no_verdict() -> None:
    never = asyncio.Event()

    async def be_silent(_head: bytes, _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await never.wait()

    async with listening(be_silent, timeout_s=0.1) as (peer, door):
        with pytest.raises(NotNow, match="no answer"):
            await door.publish([MESSAGE])
        with pytest.raises(NotNow, match="no answer"):
            await door.publish([MESSAGE])
        assert peer.connections == 2, "what comes late on the first is not the answer to the second"
        never.set()


async def test_an_answer_to_a_question_that_was_given_up_is_not_taken_for_the_next() -> None:
    asked, late = asyncio.Event(), asyncio.Event()

    async def answer_late(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(peer.heads) == 1:
            asked.set()
            await late.wait()
            await take(head, reader, writer)
        else:
            late.set()
            await reader.readexactly(length_of(head))
            writer.write(answer(200, TAKEN.replace(b'"offset":7', b'"offset":8')))

    async with listening(answer_late) as (peer, door):
        first = asyncio.create_task(door.publish([MESSAGE]))
        await asked.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await door.publish([MESSAGE]) == [Taken("e.1", 8)]


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        answer(200, b"x" * 5_000_000),
    ],
    ids=["nothing", "not HTTP", "cut off", "endless"],
)
async def test_what_is_no_answer_is_no_verdict(reply: bytes) -> None:
    async def say(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(length_of(head))
        writer.write(reply)
        await writer.drain()
        writer.close()

    async with listening(say) as (_, door):
        with pytest.raises(NotNow):
            await door.publish([MESSAGE])


async def test_nobody_there() -> None:
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(NotNow, match="no answer from"):
        await HttpDoor(f"http://127.0.0.1:{port}", None, 5).publish([MESSAGE])


@pytest.mark.parametrize(
    "url", ["", "rtm.example.com", "ftp://rtm", "http://", "https://user:pw@rtm", "http://rtm/?a=1"]
)
def test_a_url_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        HttpDoor(url, None, 5)
    assert "pw" not in str(error.value)


def test_a_key_that_would_be_a_second_header_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="API key"):
        HttpDoor("http://rtm", "key\r\nX-Other: 1", 5)


# ── answers ──


def failed(code: str) -> bytes:
    return json.dumps({"ok": False, "code": code, "message": "why"}).encode()


def test_each_message_gets_its_own_verdict() -> None:
    body = b'{"ok":true,"results":[{"ok":true,"id":"m","epoch":"e","offset":1},%b]}' % failed("too_large")
    assert read_answer(200, body, 2) == [Taken("e", 1), Rejected("too_large", "why")]


@pytest.mark.parametrize(
    ("status", "body"), [(400, failed("invalid_json")), (413, failed("too_large")), (413, b"<html>nginx</html>")]
)
def test_the_messages_are_at_fault(status: int, body: bytes) -> None:
    with pytest.raises(BatchRejected):
        read_answer(status, body, 2)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, failed("unauthorized")), (403, failed("open_mode")), (404, failed("not_found")),
        (429, failed("rate_limited")),
        (500, failed("internal")), (503, failed("unavailable")), (302, b""), (502, b"<html>Bad Gateway</html>"),
        (400, b"<html>The plain HTTP request was sent to HTTPS port</html>"), (400, failed("no code of ours")),
        (200, b"<html>please log in</html>"), (200, b'{"ok":true}'), (200, b'{"ok":true,"results":[]}'), (200, TAKEN),
        (200, b'{"ok":true,"results":[{"ok":true},{"ok":true}]}'), (200, b""),
    ],
)  # fmt: skip
def test_no_message_is_at_fault(status: int, body: bytes) -> None:
    with pytest.raises(NotNow):
        read_answer(status, body, 2)


# ── the project's own server ──


async def test_the_real_server(secured_server: ServerProcess) -> None:
    door = HttpDoor(secured_server.url, API_KEY, 5)
    poison = b'{"channel":"a","eventName":"%b","payload":1,"id":"m2"}' % (b"e" * 131)
    first = await door.publish([MESSAGE, poison])
    again = await door.publish([MESSAGE])
    await door.close()

    assert isinstance(first[0], Taken)
    assert first[0].offset == 1
    assert isinstance(first[1], Rejected)
    assert first[1].code == "bad_request"
    assert again == [first[0]]
    stranger = HttpDoor(secured_server.url, "wrong", 5)
    with pytest.raises(NotNow, match="401: unauthorized"):
        await stranger.publish([MESSAGE])
    await stranger.close()
    # 413 by the declared length: the server answers without reading the body, and closes.
    door = HttpDoor(secured_server.url, API_KEY, 5)
    with pytest.raises(BatchRejected, match="too_large"):
        await door.publish([b'{"channel":"a","payload":"%b"}' % (b"x" * 9_000_000)])
    assert await door.publish([MESSAGE]) == [first[0]]
    await door.close()
