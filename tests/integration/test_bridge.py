"""The bridge as the first plug-ins knew it: a text at /, one POST, and a listener that sends nothing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.server import ServerProcess
from tests.support.wire import wire


def test_curl_sees_that_the_bridge_is_running(shared_open: ServerProcess) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed: apt install curl")
    done = subprocess.run([curl, "-s", f"http://localhost:{shared_open.port}/"], capture_output=True, check=True)
    assert done.stdout == b"RTM WebSocket / REST bridge is running"


def test_port_of_the_environment_is_honoured(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environ = {**os.environ, "PORT": str(port), "APEX_RTM_DATA_DIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "apex_rtm", "serve"],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert f"listens on http://127.0.0.1:{port} (open mode)" in process.stdout.readline()
        assert httpx.get(f"http://localhost:{port}/").status_code == 200
        process.terminate()


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"eventName":"ping"}', b'{"channel":""}', b'{"channel":null}'],
    ids=lambda body: body.decode(),
)
def test_a_message_without_a_channel_is_refused_in_the_words_that_plug_ins_show(
    shared_open: ServerProcess, body: bytes
) -> None:
    with shared_open.client() as http:
        answer = http.post("/api/broadcast", content=body)
    assert answer.status_code == 400
    assert answer.json() == {"ok": False, "code": "channel_required", "message": "channel is required"}


async def test_a_listener_that_says_nothing_gets_every_publication(open_server: ServerProcess) -> None:
    async with wire(open_server.ws_url, subprotocol=False) as listener:
        with open_server.client() as http:
            sent = {"channel": "test", "eventName": "ping", "payload": {"itemName": "P10_MESSAGE", "value": "Hello"}}
            assert http.post("/api/broadcast", json=sent).json()["ok"] is True
            http.post("/api/broadcast", json={"channel": "user:SCOTT"})
        first, second = await listener.publications(2)
        assert {name: first[name] for name in sent} == sent
        assert second == {**second, "channel": "user:SCOTT", "eventName": None, "payload": None}


async def test_a_listener_with_channels_in_its_url_gets_only_those(shared_open: ServerProcess, channel: str) -> None:
    url = f"{shared_open.ws_url}?channel={channel}-a&channel={channel}%20b"
    async with wire(url, subprotocol=False) as listener:
        with shared_open.client() as http:
            for name in ("-a", "-c", " b", "-A"):
                http.post("/api/broadcast", json={"channel": channel + name})
        assert [p["channel"] for p in await listener.publications(2)] == [f"{channel}-a", f"{channel} b"]
        await listener.nothing_waits()


async def test_a_listener_that_speaks_gets_what_it_asks_for_from_then_on(
    shared_open: ServerProcess, channel: str
) -> None:
    async with wire(f"{shared_open.ws_url}?channel={channel}", subprotocol=False) as listener:
        await listener.nothing_waits()
        with shared_open.client() as http:
            http.post("/api/broadcast", json={"channel": channel})
            await listener.nothing_waits()
            await listener.subscribe(channel)
            http.post("/api/broadcast", json={"channel": channel})
        assert [p["offset"] for p in await listener.publications(1)] == [2]


async def test_a_client_of_the_protocol_gets_nothing_unasked_whatever_its_url_says(
    shared_open: ServerProcess, channel: str
) -> None:
    async with wire(f"{shared_open.ws_url}?channel={channel}") as client:
        assert client.socket.subprotocol == "rtm.v1"
        with shared_open.client() as http:
            http.post("/api/broadcast", json={"channel": channel})
        await client.nothing_waits()


async def test_in_secured_mode_a_listener_that_says_nothing_gets_nothing(
    shared_secured: ServerProcess, channel: str
) -> None:
    async with wire(f"{shared_secured.ws_url}?channel={channel}", subprotocol=False) as listener:
        with shared_secured.client() as http:
            assert http.post("/api/broadcast", json={"channel": channel}).status_code == 200
        await listener.nothing_waits()
        assert listener.socket.subprotocol is None
