"""Attacks with WebSocket frames: without end, without content, compressed, or faster than anybody reads them."""

from __future__ import annotations

import contextlib
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools.conformance.echo import Echo, serve_edge
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from apex_rtm.peer import Peer
from apex_rtm.protocol import frame
from tests.hardening.limited import rss_bytes
from tests.integration.raw import BINARY, CLOSE, CONT, PING, TEXT, Raw, command, masked, raw
from tests.support.server import SECURED, ServerProcess, run_server
from tests.support.wire import wire

PONG = 10


@pytest.fixture
def unlimited(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server without a frame rate, so that only the limit under attack is in the way."""
    with run_server(tmp_path, command_rate=0, engine="memory") as server:
        yield server


def _pour(socket: Raw, data: bytes, times: int) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(times):
            socket.send(data)


@pytest.mark.parametrize(
    ("opcode", "content"), [(TEXT, b""), (TEXT, b" "), (BINARY, b"")], ids=["empty", "one byte", "empty binary"]
)
def test_a_message_of_endless_fragments_is_ended(unlimited: ServerProcess, opcode: int, content: bytes) -> None:
    """Fragments of no content never reach a size limit, and every one is remembered: memory without end."""
    before = rss_bytes(unlimited.pid)
    with raw(unlimited.port) as socket:
        assert socket.upgrade().status == 101
        socket.send(masked(opcode, content, fin=False))
        _pour(socket, masked(0, content, fin=False) * 1000, 200)
        assert socket.read_close() == 1009
    assert rss_bytes(unlimited.pid) - before < 8_000_000


def test_control_frames_between_fragments_do_not_hide_them(unlimited: ServerProcess) -> None:
    """Pings are allowed between fragments; they must not begin the count anew."""
    with raw(unlimited.port) as socket:
        socket.upgrade()
        socket.send(masked(TEXT, b"{", fin=False))
        _pour(socket, (masked(PING, b"x") + masked(0, fin=False)) * 100, 50)
        opcode = PONG
        while opcode == PONG:
            opcode, payload = socket.read_frame()
        assert (opcode, int.from_bytes(payload[:2])) == (CLOSE, 1009)


@pytest.mark.parametrize("opcode", [PING, PONG], ids=["ping", "pong"])
@pytest.mark.parametrize("mode", [{}, SECURED], ids=["open", "before the token"])
def test_a_flood_of_control_frames_ends_the_connection(tmp_path: Path, opcode: int, mode: dict[str, str]) -> None:
    """Each ping costs an answer and each pong a look at the clock, before anybody has shown a token."""
    with run_server(tmp_path, **mode, command_rate=10, command_burst=100) as server, raw(server.port) as socket:
        socket.upgrade()
        _pour(socket, masked(opcode, b"x" * 125) * 100, 100)
        assert socket.read_close() == 4005
        with raw(server.port) as other:
            assert other.upgrade().status == 101


def test_pings_of_a_peer_that_does_not_read_take_no_memory(unlimited: ServerProcess) -> None:
    """Who sends pings and never reads the pongs makes the server keep them all."""
    before = rss_bytes(unlimited.pid)
    with raw(unlimited.port, receive_bytes=4096) as socket:
        socket.upgrade()
        socket.socket.settimeout(1)
        with contextlib.suppress(TimeoutError):
            _pour(socket, masked(PING, b"x" * 125) * 1000, 400)
        assert rss_bytes(unlimited.pid) - before < 16_000_000


def test_compression_is_not_agreed_to(shared_open: ServerProcess) -> None:
    """A deflate bomb: a few bytes that become a gigabyte, in one frame or over the whole message."""
    offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-webkit-deflate-frame\r\n"
    bomb = zlib.compressobj(wbits=-15)
    packed = bomb.compress(b"[" * 10_000_000) + bomb.flush(zlib.Z_SYNC_FLUSH)
    with raw(shared_open.port) as socket:
        answer = socket.upgrade(b"/", offer)
        assert answer.status == 101
        assert "sec-websocket-extensions" not in answer.headers
        socket.send(masked(TEXT, packed, rsv=4))
        assert socket.read_close() == 1002


def test_what_was_compressed_counts_as_long_as_it_was(tmp_path: Path) -> None:
    """Where compression was agreed to: a bomb is ended before it is unpacked, in one frame and in many."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(b"[" * 50_000_000) + packer.flush(zlib.Z_SYNC_FLUSH)
    packed = packed.removesuffix(b"\0\0\xff\xff")
    parts = [packed[at : at + 100] for at in range(0, len(packed), 100)]
    with run_server(tmp_path, compression=True) as server:
        before = rss_bytes(server.pid)
        for frames in (
            masked(TEXT, packed, rsv=4),
            masked(TEXT, parts[0], fin=False, rsv=4) + b"".join(masked(CONT, part, fin=False) for part in parts[1:]),
        ):
            with raw(server.port) as socket:
                answer = socket.upgrade(b"/", b"Sec-WebSocket-Extensions: permessage-deflate\r\n")
                assert "permessage-deflate" in answer.headers["sec-websocket-extensions"]
                socket.send(frames)
                assert socket.read_close() == 1009
        assert rss_bytes(server.pid) - before < 16_000_000


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br"])
def test_a_compressed_body_is_not_unpacked(shared_open: ServerProcess, encoding: bytes) -> None:
    """The same over HTTP: Content-Encoding is no permission to fill the memory."""
    packed = zlib.compress(b'{"channel":"test","payload":"' + b" " * 10_000_000 + b'"}')
    with raw(shared_open.port) as socket:
        socket.send(
            b"POST /api/broadcast HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: ", encoding,
            b"\r\nContent-Length: %d\r\n\r\n" % len(packed), packed,
        )  # fmt: skip
        answer = socket.answer()
    assert (answer.status, answer.json["code"]) == (400, "invalid_json")


@pytest.mark.slow
async def test_readers_that_stand_still_cost_little_and_nobody_else_waits(tmp_path: Path) -> None:
    """Slow readers: everything published is kept for each of them, until the memory is gone."""
    limits = {"engine": "memory", "outbox_max_bytes": 1_048_576, "history_size": 1, "close_timeout_s": 0.2}
    with run_server(tmp_path, **limits) as server, contextlib.ExitStack() as stack:
        readers = [stack.enter_context(raw(server.port, receive_bytes=4096)) for _ in range(20)]
        for reader in readers:
            assert reader.upgrade(b"/", b"Sec-WebSocket-Protocol: rtm.v1\r\n").status == 101
            reader.send(command(type="subscribe", channel="test"))
            assert json.loads(reader.read_frame()[1])["type"] == "subscribed"
        async with wire(server.ws_url, max_size=None) as good:
            await good.subscribe("test")
            with server.client() as http:
                http.post("/api/broadcast", json={"channel": "warm-up", "payload": "x" * 100_000})
                before = rss_bytes(server.pid)
                highest = 0
                for number in range(200):  # 20 MB for each reader, 400 MB for all
                    http.post("/api/broadcast", json={"channel": "test", "payload": [number, "x" * 100_000]})
                    highest = max(highest, rss_bytes(server.pid))
                    (publication,) = await good.publications(1)
                    assert publication["payload"][0] == number
                assert highest - before < 60_000_000
                left = http.get("/api/channels", params={"prefix": "test"}).json()["channels"][0]["subscribers"]
        assert left == 1


@pytest.mark.parametrize("state", ["handshake", "open", "in a message"])
def test_a_peer_that_vanishes_leaves_nothing(tmp_path: Path, state: str) -> None:
    """Resets at every moment: whatever was counted in must be counted out, or the quota shuts the server."""
    with run_server(tmp_path, max_connections=5, max_http_connections=10) as server:
        for _ in range(30):
            with raw(server.port) as socket:
                if state != "handshake":
                    assert socket.upgrade().status == 101
                socket.send(
                    {"handshake": b"GET / HT", "open": b"", "in a message": masked(TEXT, b"{", fin=False)}[state]
                )
                # SO_LINGER 0: close sends a reset instead of the orderly end
                socket.socket.setsockopt(1, 13, struct.pack("ii", 1, 0))
        with server.client() as http:
            assert http.get("/api/connections").json()["total"] == 0


class _Bomb(Echo):
    """A conversation with a fault in it."""

    def on_text(self, text: bytes) -> None:
        if text == b"boom":
            raise RuntimeError("a fault that nobody has thought of")
        self._peer.send(frame(text))

    def on_binary(self, data: bytes) -> None:
        raise MemoryError(len(data))


async def test_an_exception_in_one_connection_ends_that_connection_only() -> None:
    """An exception that nobody catches ends the event loop, and with it everybody's connection."""

    def converse(peer: Peer) -> _Bomb:
        return _Bomb(peer)

    async with serve_edge(converse) as port:
        url = f"ws://127.0.0.1:{port}/"
        async with connect(url) as bystander:
            for message in ("boom", b"boom"):
                async with connect(url) as victim:
                    await victim.send(message)
                    with pytest.raises(ConnectionClosed):
                        await victim.recv()
            await bystander.send("still here")
            assert await bystander.recv() == "still here"
