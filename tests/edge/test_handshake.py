"""The opening handshake, apart from the connection that carries it."""

from __future__ import annotations

import json

import pytest

from apex_rtm.edge.handshake import HandshakeProtocol, refusal, select_subprotocol, split_target
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
    response = HandshakeProtocol().reject(status, "why\n")

    assert response.status_code == status
    assert json.loads(response.body or b"") == {"ok": False, "code": code, "message": "why"}


def test_only_our_subprotocol_is_taken() -> None:
    assert select_subprotocol(HandshakeProtocol(), ["x", "rtm.v1"]) == "rtm.v1"  # type: ignore[list-item]
    assert select_subprotocol(HandshakeProtocol(), []) is None
