"""The opening handshake, apart from the connection that carries it."""

from __future__ import annotations

import json

import pytest
from websockets.typing import Subprotocol

from apex_rtm.edge.handshake import HandshakeProtocol, refusal, split_target
from apex_rtm.errors import Refused


def test_a_target_is_path_and_query() -> None:
    assert split_target("/?channel=a&channel=b") == ("/", "channel=a&channel=b")
    with pytest.raises(Refused, match="the WebSocket is at /"):
        split_target("//[")


def test_a_refusal_is_json_like_every_other_failure() -> None:
    response = refusal(Refused("forbidden_origin", "not from there"))

    assert (response.status_code, response.headers["Content-Type"]) == (403, "application/json")
    assert json.loads(response.body or b"") == {"ok": False, "code": "forbidden_origin", "message": "not from there"}
    assert response.headers["Content-Length"] == str(len(response.body or b""))


@pytest.mark.parametrize(("status", "code"), [(405, "method_not_allowed"), (431, "too_large"), (400, "bad_request")])
def test_the_library_s_own_refusals_have_our_codes(status: int, code: str) -> None:
    response = HandshakeProtocol(1000).reject(status, "why\n")

    assert response.status_code == status
    assert json.loads(response.body or b"") == {"ok": False, "code": code, "message": "why"}


def test_only_our_subprotocol_is_taken() -> None:
    assert HandshakeProtocol(1000).select_subprotocol([Subprotocol("x"), Subprotocol("rtm.v1")]) == "rtm.v1"
    assert HandshakeProtocol(1000).select_subprotocol([]) is None


@pytest.mark.parametrize(
    ("offered", "answered", "deflates"),
    [
        ("permessage-deflate; client_max_window_bits", True, True),
        ("permessage-deflate; server_no_context_takeover", True, True),
        ("permessage-deflate; server_max_window_bits=10", True, False),  # what is made for all would not fit its window
        ("x-other", False, False),
        (None, False, False),
    ],
)
def test_compression_is_negotiated_without_context(offered: str | None, *, answered: bool, deflates: bool) -> None:
    for compresses in (True, False):
        protocol = HandshakeProtocol(1000, compresses=compresses)
        lines = [
            "GET / HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
            *([f"Sec-WebSocket-Extensions: {offered}"] if offered else []), "", "",
        ]  # fmt: skip
        protocol.receive_data("\r\n".join(lines).encode())
        (request,) = protocol.events_received()
        protocol.send_response(protocol.accept(request))  # type: ignore[arg-type]
        answer = b"".join(protocol.data_to_send()).lower()

        assert (b"sec-websocket-extensions: permessage-deflate" in answer) is (answered and compresses)
        if answered and compresses:
            assert b"server_no_context_takeover" in answer
            assert b"client_no_context_takeover" in answer
        assert protocol.deflates is (deflates and compresses)
