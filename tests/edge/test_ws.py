"""One WebSocket between a socket and a conversation: handshake, frames, slow readers, and every way to end."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
import structlog
from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.frames import Opcode

from apex_rtm import codes
from apex_rtm.edge.burst import Burst
from apex_rtm.edge.guard import Proxies
from apex_rtm.edge.ws import Connection, Conversation, EdgeLimits, Gateway
from apex_rtm.limits import ConnectionQuota
from apex_rtm.peer import Peer
from apex_rtm.protocol import frame
from tests.support.clock import FakeClock
from tests.support.socket import FakePeer, FakeTransport

SOON = 0.01


class Recorder:
    """A conversation that notes what it is told, and is busy as long as the test wants."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.calls: list[tuple[str, Any]] = []
        self.is_busy = False
        self.fault: Exception | None = None

    def on_open(self, old_listener_channels: list[str] | None) -> None:
        self.calls.append(("open", old_listener_channels))

    def on_text(self, text: bytes) -> None:
        if self.fault is not None:
            raise self.fault
        self.calls.append(("text", text.decode()))

    def on_binary(self, data: bytes) -> None:
        self.calls.append(("binary", data))

    def on_pong(self, payload: bytes) -> None:
        self.calls.append(("pong", payload))

    def on_heard(self) -> None:
        self.calls.append(("heard", None))

    def on_writable(self) -> None:
        self.calls.append(("writable", None))

    def on_stalled(self) -> None:
        self.calls.append(("stalled", None))
        self.peer.close(codes.SLOW)

    def on_closed(self) -> None:
        self.calls.append(("closed", None))

    def said(self, kind: str) -> list[Any]:
        return [value for name, value in self.calls if name == kind]


class Edge:
    """A gateway, and one connection to it."""

    def __init__(
        self, *, is_open: bool = True, quota: ConnectionQuota | None = None, peername: object = ("192.0.2.1", 50000),
        **limits: Any,
    ) -> None:  # fmt: skip
        values: dict[str, Any] = {
            "max_frame_bytes": 1000, "outbox_max_bytes": 100_000, "write_timeout_s": 60.0, "close_timeout_s": 60.0,
            "frame_rate": 0.0, "frame_burst": 1.0, **limits,
        }  # fmt: skip
        self.clock = FakeClock()
        self.quota = quota or ConnectionQuota(total=0, per_ip=0, per_user=0)
        self.conversations: list[Recorder] = []
        self.gateway = Gateway(
            self._converse, self.quota, Proxies(["10.0.0.0/8"]), EdgeLimits(**values), self.clock, is_open,
            () if is_open else ("https://apex.example.com",), reconnect_spread_s=3,
            burst=Burst(),
        )  # fmt: skip
        self.state = ServerState()
        self.connection: Connection = self.gateway.connection(cast(Config, None), self.state, {})
        self.transport = FakeTransport(self.connection, peername)
        self.connection.connection_made(self.transport)
        self.peer = FakePeer(self.connection, self.transport)

    def _converse(self, peer: Peer) -> Conversation:
        self.conversations.append(Recorder(peer))
        return self.conversations[-1]

    def opened(self) -> Edge:
        response = self.peer.shake_hands()
        assert response.status_code == 101, response
        return self

    @property
    def conversation(self) -> Recorder:
        (conversation,) = self.conversations
        return conversation


# ── the handshake ──


async def test_the_subprotocol_is_selected_where_it_is_offered() -> None:
    edge = Edge()

    response = edge.peer.shake_hands("/?channel=ignored")

    assert (response.status_code, response.headers["Sec-WebSocket-Protocol"]) == (101, "rtm.v1")
    assert edge.conversation.calls == [("open", None)]
    assert edge.connection.ip == "192.0.2.1"
    assert edge.quota.count == 1
    assert set[object](edge.state.connections) == {edge.connection}


@pytest.mark.parametrize(
    ("target", "channels"),
    [("/", []), ("/?channel=a&channel=chat:*&other=1&channel=", ["a", "chat:*"]), ("/?channel=%C3%BC%20%2B", ["ü +"])],
)
async def test_an_old_listener_names_channels_in_its_url(target: str, channels: list[str]) -> None:
    edge = Edge()

    response = edge.peer.shake_hands(target, subprotocol=False)

    assert "Sec-WebSocket-Protocol" not in response.headers
    assert edge.conversation.calls == [("open", channels)]


@pytest.mark.parametrize(
    ("options", "handshake", "status", "code"),
    [
        ({}, {"target": "/other"}, 404, "not_found"),
        ({}, {"target": "//["}, 404, "not_found"),
        ({}, {"origin": "https://evil.example.com"}, 403, "open_mode"),
        ({}, {"x_forwarded_for": "1.2.3.4"}, 403, "open_mode"),
        ({"is_open": False}, {"origin": "https://evil.example.com"}, 403, "forbidden_origin"),
        ({"quota": ConnectionQuota(total=0, per_ip=1, per_user=0)}, {}, 429, "limit_exceeded"),
        ({"quota": ConnectionQuota(total=1, per_ip=0, per_user=0)}, {}, 503, "unavailable"),
        ({}, {"Sec_WebSocket_Version": "7"}, 400, "bad_request"),
    ],
)
async def test_a_refused_handshake_says_why_in_json(
    options: dict[str, Any], handshake: dict[str, Any], status: int, code: str
) -> None:
    edge = Edge(**options)
    before = edge.quota.count
    if options.get("quota") is not None:
        edge.quota.enter("192.0.2.1")
        before += 1

    response = edge.peer.shake_hands(**handshake)

    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(response.body or b"")["code"] == code
    assert edge.conversations == []
    assert edge.transport.is_closing()
    edge.transport.lose()
    assert edge.quota.count == before
    if options.get("quota") is not None:
        edge.quota.leave("192.0.2.1")


async def test_while_it_drains_nobody_new_is_let_in() -> None:
    edge = Edge()
    edge.gateway.draining = True

    assert edge.peer.shake_hands().status_code == 503


async def test_a_welcome_origin_and_the_address_behind_a_proxy() -> None:
    edge = Edge(is_open=False, peername=("10.0.0.1", 1))

    assert edge.peer.shake_hands(origin="https://apex.example.com", x_forwarded_for="198.51.100.7").status_code == 101
    assert edge.connection.ip == "198.51.100.7"


async def test_a_unix_socket_has_no_address() -> None:
    edge = Edge(peername="")

    assert edge.peer.shake_hands().status_code == 101
    assert edge.connection.ip == ""


# ── what comes in ──


async def test_text_is_handed_over_and_everything_is_a_sign_of_life() -> None:
    edge = Edge().opened()

    edge.peer.send("hello")
    edge.peer.send_frame(Opcode.PING, b"x")
    edge.peer.send_frame(Opcode.PONG)

    assert edge.conversation.said("text") == ["hello"]
    assert len(edge.conversation.said("heard")) == 3
    (pong,) = edge.peer.events()
    assert (pong.opcode, bytes(pong.data)) == (Opcode.PONG, b"x")


async def test_fragments_are_put_together_with_control_frames_between_them() -> None:
    edge = Edge().opened()

    edge.peer.send_frame(Opcode.TEXT, b"h\xc3", fin=False)
    edge.peer.send_frame(Opcode.PING)
    edge.peer.send_frame(Opcode.CONT, b"\xbc", fin=False)
    edge.peer.send_frame(Opcode.CONT, b"!")
    edge.peer.send("next")

    assert edge.conversation.said("text") == ["hü!", "next"]


async def test_endless_fragments_end_the_connection() -> None:
    """Empty ones never reach max_frame_bytes, and each takes memory."""
    edge = Edge().opened()
    edge.peer.send_frame(Opcode.TEXT, fin=False)

    for _ in range(1024):
        edge.peer.send_frame(Opcode.CONT, fin=False)

    assert edge.peer.close_code == 1009
    assert edge.conversation.said("closed") == [None]


async def test_binary_is_handed_over_as_such() -> None:
    edge = Edge().opened()

    edge.peer.send_frame(Opcode.BINARY, b"\x00")

    assert edge.conversation.said("binary") == [b"\x00"]
    assert edge.conversation.said("text") == []


@pytest.mark.parametrize(
    ("opcode", "data", "code"),
    [(Opcode.TEXT, b"\xff", 1007), (Opcode.TEXT, b"x" * 1001, 1009), (Opcode.CONT, b"x", 1002)],
)
async def test_a_broken_frame_ends_the_connection(opcode: Opcode, data: bytes, code: int) -> None:
    edge = Edge().opened()

    edge.peer.send_frame(opcode, data)

    assert edge.peer.close_code == code
    assert edge.conversation.said("text") == []


async def test_frames_have_a_rate() -> None:
    edge = Edge(frame_rate=1.0, frame_burst=3.0).opened()
    for _ in range(3):
        edge.peer.send_frame(Opcode.PING)  # control frames cost an answer, so they count
    edge.clock.advance(1)
    edge.peer.send("fine")

    edge.peer.send("too many")

    assert edge.conversation.said("text") == ["fine"]
    assert edge.peer.close_code == 4005
    assert edge.conversation.said("closed") == [None]


async def test_while_the_conversation_is_busy_nothing_more_is_read() -> None:
    edge = Edge().opened()
    edge.conversation.is_busy = True

    edge.peer.send("one")
    edge.peer.send("two")
    assert edge.conversation.said("text") == []
    assert not edge.transport.is_reading()

    edge.conversation.is_busy = False
    edge.connection.resume_writing()
    assert edge.conversation.said("text") == ["one", "two"]
    assert edge.transport.is_reading()


async def test_a_fault_ends_this_connection_and_nothing_else() -> None:
    edge = Edge().opened()
    edge.conversation.fault = ZeroDivisionError()

    with structlog.testing.capture_logs() as logs:
        edge.peer.send("hello")

    assert edge.transport.aborted.is_set()
    assert [entry["event"] for entry in logs] == ["connection.failed"]


# ── what goes out ──


async def test_frames_go_to_the_socket_as_they_are() -> None:
    edge = Edge().opened()
    before = len(edge.transport.written)

    edge.connection.send(frame(b"hello"))

    assert edge.transport.written[before:] == frame(b"hello")
    assert edge.peer.texts() == ["hello"]


async def test_a_slow_reader_is_told_of_and_may_catch_up() -> None:
    edge = Edge().opened()
    edge.transport.is_slow = True

    edge.connection.send(frame(b"x" * 70_000))
    assert not edge.connection.writable
    edge.transport.read_all()

    assert edge.connection.writable
    assert edge.conversation.said("writable") == [None]
    assert edge.connection._timer is None  # the time it had is not held against it


async def test_a_reader_that_stands_still_is_closed_with_4002() -> None:
    edge = Edge(write_timeout_s=SOON, close_timeout_s=SOON).opened()
    edge.transport.is_slow = True

    edge.connection.send(frame(b"x" * 70_000))
    await edge.transport.wait_aborted()

    assert edge.conversation.said("stalled") == [None]
    assert edge.peer.close_code == 4002


@pytest.mark.parametrize("by", ["publications", "pongs"])
async def test_a_reader_that_is_too_far_behind_is_closed_at_once(by: str) -> None:
    edge = Edge(outbox_max_bytes=100_000).opened()
    edge.transport.is_slow = True

    edge.connection.send(frame(b"x" * 99_900))
    assert edge.conversation.said("stalled") == []
    if by == "publications":
        edge.connection.send(frame(b"x" * 100))
    else:
        edge.peer.send_frame(Opcode.PING, b"x" * 125)

    assert edge.conversation.said("stalled") == [None]
    assert edge.peer.close_code == 4002
    before = len(edge.transport.written)
    edge.connection.send(frame(b"more"))
    assert len(edge.transport.written) == before


# ── the end ──


async def test_a_close_of_the_peer_is_answered() -> None:
    edge = Edge().opened()

    edge.peer.say_close()

    assert edge.peer.close_code == 1000
    assert edge.transport.is_closing()
    edge.transport.lose()
    assert edge.conversation.said("closed") == [None]
    assert (edge.quota.count, edge.state.connections) == (0, set())


async def test_a_peer_that_does_not_answer_a_close_is_cut() -> None:
    edge = Edge(close_timeout_s=SOON).opened()

    edge.connection.close(codes.REVOKED)
    edge.connection.close(codes.SLOW)

    assert edge.peer.close_code == 4503
    await edge.transport.wait_aborted()


async def test_a_peer_that_answers_a_close_but_does_not_read_is_cut() -> None:
    edge = Edge(close_timeout_s=SOON).opened()

    edge.connection.close(codes.REVOKED)
    edge.peer.events()
    edge.peer.send_frame(Opcode.CLOSE, b"\x0f\xa1")

    assert edge.transport.is_closing()
    await edge.transport.wait_aborted()


async def test_after_a_close_nothing_of_the_peer_is_heard() -> None:
    edge = Edge().opened()
    edge.connection.close(codes.REVOKED)

    edge.peer.send("more")

    assert edge.conversation.said("text") == []


async def test_a_stop_of_the_server_is_said_before_the_close() -> None:
    edge = Edge().opened()

    edge.connection.shutdown()

    assert edge.peer.texts() == ['{"type":"draining","reconnectWithinMs":3000}']
    assert edge.peer.close_code == 1012


async def test_a_connection_that_ends_before_its_handshake_leaves_nothing() -> None:
    edge = Edge()
    edge.connection.shutdown()
    edge.connection.eof_received()
    edge.transport.lose()

    assert edge.conversations == []
    assert (edge.quota.count, edge.state.connections) == (0, set())


async def test_a_half_closed_socket_is_closed() -> None:
    edge = Edge().opened()

    edge.connection.eof_received()

    assert edge.transport.is_closing()


async def test_frames_that_waited_are_taken_up_when_the_conversation_says_so() -> None:
    edge = Edge().opened()
    edge.conversation.is_busy = True
    edge.peer.send("1")
    edge.peer.send("2")
    assert edge.conversation.said("text") == []

    edge.conversation.is_busy = False
    edge.connection.take_up()

    assert edge.conversation.said("text") == ["1", "2"]


async def test_a_fault_while_taking_up_ends_this_connection_only() -> None:
    edge = Edge().opened()
    edge.conversation.is_busy = True
    edge.peer.send("1")
    edge.conversation.is_busy, edge.conversation.fault = False, RuntimeError("broken")

    with structlog.testing.capture_logs() as logs:
        edge.connection.take_up()

    assert [entry["event"] for entry in logs] == ["connection.failed"]
    assert edge.transport.is_closing()
    edge.transport.lose()
    edge.connection.take_up()  # whoever calls cannot know that it is gone
