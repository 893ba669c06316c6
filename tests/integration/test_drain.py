"""A stop that loses nothing: ready turns 503, clients are told, requests in flight are answered."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.server import ServerProcess, run_server
from tests.support.wire import Wire, wire


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that waits a second between turning unready and closing."""
    with run_server(tmp_path / "data", drain_delay_s=1, reconnect_spread_s=3) as running:
        yield running


def terminate(server: ServerProcess) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)


async def ready_turns_503(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http, asyncio.timeout(5):
        while (await http.get("/health/ready")).status_code == 200:
            pass
        assert (await http.get("/health/live")).status_code == 200


async def test_clients_are_told_to_come_back_spread(server: ServerProcess) -> None:
    async with wire(server.ws_url) as client:
        await client.subscribe("test")
        terminate(server)

        assert await client.receive() == {"type": "draining", "reconnectWithinMs": 3000}
        assert await client.close_code() == 1012
    assert server.process is not None
    assert await asyncio.to_thread(server.process.wait, 20) == 0


async def test_while_draining_others_are_served_and_nobody_new_is_taken(server: ServerProcess) -> None:
    async with wire(server.ws_url) as client:
        await client.subscribe("test")
        terminate(server)
        await ready_turns_503(server)
        async with httpx.AsyncClient(base_url=server.url) as http:
            answer = await http.post("/api/broadcast", json={"channel": "test", "payload": "last words"})
            newcomer = await http.get("/", headers=UPGRADE)

        assert answer.status_code == 200
        assert (newcomer.status_code, newcomer.json()["code"]) == (503, "unavailable")
        assert (await client.publications(1))[0]["payload"] == "last words"


async def test_every_publish_in_flight_is_answered_and_kept(tmp_path: Path) -> None:
    with run_server(tmp_path / "data") as server:
        answered = await _publish_until_it_stops(server)
        assert server.process is not None
        assert await asyncio.to_thread(server.process.wait, 20) == 0
        server.restart()
        async with httpx.AsyncClient(base_url=server.url) as http:
            kept = (await http.get("/api/channels/test/history?limit=1000")).json()

    assert len(answered) > 20
    assert [p["payload"] for p in kept["publications"]][: len(answered)] == answered


async def _publish_until_it_stops(server: ServerProcess) -> list[int]:
    answered: list[int] = []
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as http:
        for number in range(900):
            if number == 30:
                terminate(server)
            try:
                response = await http.post("/api/broadcast", json={"channel": "test", "payload": number})
            except httpx.ConnectError:
                return answered
            except httpx.RemoteProtocolError:
                return answered  # a kept connection was closed between two requests: this one was never read
            assert response.status_code == 200, response.text
            answered.append(number)
    raise AssertionError("the server never stopped")


async def test_a_reader_that_stands_still_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    with run_server(tmp_path / "data", drain_timeout_s=3, close_timeout_s=1) as server:
        async with wire(server.ws_url) as client:
            await client.subscribe("test")
            stalled = await _stall(server)
            terminate(server)
            assert server.process is not None
            assert await asyncio.to_thread(server.process.wait, 20) == 0
            stalled.socket.transport.abort()


async def _stall(server: ServerProcess) -> Wire:
    """Connect, fill the buffers and never read again."""
    socket = await connect(server.ws_url, compression=None, max_queue=1)
    await socket.send(json.dumps({"type": "subscribe", "channel": "test"}))
    await socket.recv()
    socket.transport.pause_reading()
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as http:
        for _ in range(12):
            await http.post("/api/broadcast", json={"channel": "test", "payload": "x" * 500_000})
    return Wire(socket)


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version": "13",
}
