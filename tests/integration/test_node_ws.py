"""Interoperation with Node's `ws`, in both modes. (Every other test here speaks through Python's `websockets`.)"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import API_KEY, ServerProcess
from tests.support.tokens import make_token

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent


def _run(server: ServerProcess, channel: str, *secrets: str) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None or not (HERE.parent.parent / "node_modules" / "ws").is_dir():
        pytest.skip("Node.js and the package ws are not installed: make node")
    done = subprocess.run(
        [node, HERE / "ws_client.mjs", server.url, channel, *secrets],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    saw: dict[str, Any] = json.loads(done.stdout)
    return saw


def _check(saw: dict[str, Any], channel: str) -> None:
    assert (saw["subprotocol"], saw["oldSubprotocol"], saw["extensions"]) == ("rtm.v1", "", "")
    assert (saw["subscribed"]["type"], saw["subscribed"]["channel"]) == ("subscribed", channel)
    assert (saw["published"]["status"], saw["published"]["offset"]) == (200, 1)
    assert saw["publication"] == {
        "channel": channel, "eventName": "ping", "payload": {"value": "Grüße 🎉"}, "id": saw["published"]["id"],
        "epoch": saw["subscribed"]["epoch"], "offset": 1,
    }  # fmt: skip
    assert saw["pong"] == "are you there"
    assert saw["recovered"]["recovered"] is True
    assert (saw["missed"]["payload"], saw["missed"]["offset"]) == ("missed", 2)
    assert saw["live"]["payload"] == "for everybody"
    assert (saw["closeCode"], saw["binaryCloseCode"]) == (1000, 1003)


def test_node_ws_in_open_mode(shared_open: ServerProcess, channel: str) -> None:
    saw = _run(shared_open, channel)
    _check(saw, channel)
    assert saw["oldAnswer"]["payload"] == "for everybody"  # an old listener gets everything


def test_node_ws_in_secured_mode(shared_secured: ServerProcess, channel: str) -> None:
    saw = _run(shared_secured, channel, API_KEY, make_token("SCOTT", channel))
    _check(saw, channel)
    assert saw["oldAnswer"] == {"type": "pong"}  # an old listener gets nothing
