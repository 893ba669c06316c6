"""Attacks on the sockets themselves: holding them, filling them, exhausting the descriptors behind them."""

from __future__ import annotations

import contextlib
import http.client
import json
from pathlib import Path

import httpx
import pytest

from tests.hardening.limited import few_descriptors
from tests.integration.raw import HOST, Raw, ask, command, raw
from tests.support.server import API_KEY, SECURED, ServerProcess, run_server
from tests.support.wire import wire

SLOTS = 10


def _is_alive(server: ServerProcess) -> bool:
    return ask(server.port, b"GET /health/live HTTP/1.1\r\n", HOST, b"\r\n").status == 200


def _fill(stack: contextlib.ExitStack, server: ServerProcess, count: int, *request: bytes) -> list[Raw]:
    sockets = [stack.enter_context(raw(server.port)) for _ in range(count)]
    for socket in sockets:
        socket.send(*request)
    return sockets


def test_slow_handshakes_give_way_to_requests(tmp_path: Path) -> None:
    """Slowloris: headers that never end hold every slot, and nobody else gets one."""
    with run_server(tmp_path, max_http_connections=SLOTS) as server, contextlib.ExitStack() as stack:
        sockets = _fill(stack, server, 3 * SLOTS, b"GET / HTTP/1.1\r\nX-Slow: 1")
        assert _is_alive(server)
        # The oldest went first: those that came last still may finish.
        assert sockets[0].read_to_end() == b""
        sockets[-1].send(b"\r\n", HOST, b"\r\n")
        assert sockets[-1].answer().status == 200


@pytest.mark.slow
def test_a_slow_handshake_is_cut_after_header_timeout_s(tmp_path: Path) -> None:
    """Slowloris with patience: one byte now and then keeps a socket for ever, if any byte counts as life."""
    with run_server(tmp_path, header_timeout_s=1) as server, raw(server.port) as socket:
        socket.socket.settimeout(0.1)
        for byte in b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 100:
            try:
                socket.send(bytes((byte,)))
                if socket.socket.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
        else:
            pytest.fail("the server waited for ten seconds")


def test_idle_kept_connections_give_way_to_requests(tmp_path: Path) -> None:
    """A request each, then silence: nothing is wrong with any of them, and together they hold every slot."""
    with run_server(tmp_path, max_http_connections=SLOTS) as server, contextlib.ExitStack() as stack:
        sockets = _fill(stack, server, SLOTS, b"GET /health/live HTTP/1.1\r\n", HOST, b"\r\n")
        assert [socket.answer().status for socket in sockets] == [200] * SLOTS
        assert _is_alive(server)
        assert _is_alive(server)


def test_bodies_that_nobody_reads_do_not_hold_their_sockets(tmp_path: Path) -> None:
    """The answer is out, the body of the request goes on and on: neither waiting for headers nor idle, so never cut."""
    with run_server(tmp_path, max_http_connections=SLOTS) as server, contextlib.ExitStack() as stack:
        sockets = _fill(stack, server, SLOTS, b"GET / HTTP/1.1\r\n", HOST, b"Content-Length: 1000000\r\n\r\n")
        assert [socket.answer().status for socket in sockets] == [200] * SLOTS
        for socket in sockets:
            socket.send(b"x")
        assert _is_alive(server)
        assert _is_alive(server)


@pytest.mark.slow
def test_a_slow_body_is_answered_with_408_after_body_timeout_s(tmp_path: Path) -> None:
    """A body of one byte a second (R-U-Dead-Yet) holds a slot and a task for as long as it likes."""
    with run_server(tmp_path, body_timeout_s=0.5) as server, raw(server.port) as socket:
        socket.send(b"POST /api/broadcast HTTP/1.1\r\n", HOST, b"Content-Length: 20\r\n\r\n{")
        answer = socket.answer()
        assert (answer.status, answer.json["code"]) == (408, "timeout")
        assert socket.read_to_end() == b""


@pytest.mark.parametrize("size_bytes", [9_000_000, 30_000_000])
def test_a_publisher_that_sends_too_much_reads_why(secured_server: ServerProcess, size_bytes: int) -> None:
    """The honest sender of a large body: a server that hangs up on it resets the connection, and the reason is lost."""
    for key, status in ((API_KEY, 413), ("wrong", 401)):
        connection = http.client.HTTPConnection("127.0.0.1", secured_server.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("POST", "/api/broadcast", b" " * size_bytes, {"X-API-Key": key})
            response = connection.getresponse()
            assert (response.status, json.loads(response.read())["ok"]) == (status, False)
            connection.request("GET", "/health/live")  # and the connection is still good
            assert connection.getresponse().status == 200


async def test_a_flood_of_websockets_is_refused_and_health_answers(tmp_path: Path) -> None:
    """Connections until the server has no room: those that have one must not notice, and operators must see it live."""
    with run_server(tmp_path, max_connections=20) as server, contextlib.ExitStack() as stack:
        async with wire(server.ws_url) as before:
            await before.subscribe("test")
            answers = [stack.enter_context(raw(server.port)).upgrade() for _ in range(40)]
            assert [answer.status for answer in answers] == [101] * 19 + [503] * 21
            assert answers[-1].json["code"] == "unavailable"
            assert "max_connections" in answers[-1].json["message"]
            assert _is_alive(server)
            with server.client() as http_client:
                assert http_client.post("/api/broadcast", json={"channel": "test"}).status_code == 200
            assert len(await before.publications(1)) == 1
        stack.close()
        async with wire(server.ws_url) as after:  # what was given back may be taken again
            await after.subscribe("test")


def test_a_flood_from_one_address_leaves_the_others_their_room(tmp_path: Path) -> None:
    """One host opens everything: without a bound for each address, nobody else gets in."""
    with run_server(tmp_path, max_connections_per_ip=5) as server, contextlib.ExitStack() as stack:
        flood = [stack.enter_context(raw(server.port, source_ip="127.0.0.2")).upgrade() for _ in range(8)]
        assert [answer.status for answer in flood] == [101] * 5 + [429] * 3
        assert flood[-1].json["code"] == "limit_exceeded"
        assert stack.enter_context(raw(server.port, source_ip="127.0.0.3")).upgrade().status == 101


def test_a_refused_handshake_gives_back_its_place(tmp_path: Path) -> None:
    """Places that leak on a failed handshake shut a server out of its own quota after a day of scanners."""
    with run_server(tmp_path, max_connections=3) as server:
        for _ in range(10):
            with raw(server.port) as socket:
                assert socket.upgrade(b"/elsewhere").status == 404
            with raw(server.port) as socket:
                assert (
                    ask(
                        server.port, b"GET / HTTP/1.1\r\n", HOST, b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
                    ).status
                    == 400
                )
        with raw(server.port) as socket:
            assert socket.upgrade().status == 101


@pytest.mark.parametrize("count", [128, 400])
def test_exhausting_the_descriptors_leaves_health_and_publishing(tmp_path: Path, count: int) -> None:
    """Every socket costs a file descriptor; when the last is gone, accept, the log and health checks fail together."""
    with few_descriptors(tmp_path, count, **SECURED) as server, contextlib.ExitStack() as stack:
        upgraded = 0
        for number in range(count * 2):
            socket = stack.enter_context(raw(server.port))
            if number % 2:
                socket.send(b"GET / HTTP/1.1\r\n")
            else:
                upgraded += socket.upgrade().status == 101
        assert upgraded >= 10
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        with server.client() as client:
            assert client.post("/api/broadcast", json={"channel": "test"}).status_code == 200
        assert not [line for line in server.log if "exception" in line]


def test_the_work_before_a_token_is_bounded(tmp_path: Path) -> None:
    """Frames cost work before anybody knows who sends them: a rate counts from the first byte, not from the login."""
    with run_server(tmp_path, **SECURED, command_rate=1, command_burst=20) as server, raw(server.port) as socket:
        assert socket.upgrade().status == 101
        socket.send(*[command(type="subscribe", channel="test")] * 100)
        answers = 0
        while socket.read_frame()[0] == 1:
            answers += 1
        assert answers == 20
