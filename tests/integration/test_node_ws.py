"""Node's `ws`, the library of the bridge that this server takes the place of, talks to it unchanged."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import httpx

from tests.support.server import ServerProcess

SCRIPT = Path(__file__).parent / "follow.mjs"


async def test_node_ws_subscribes_receives_and_closes_cleanly(open_server: ServerProcess) -> None:
    node = shutil.which("node")
    assert node is not None, "Node.js is not installed: tools/system_packages.sh"
    process = await asyncio.create_subprocess_exec(
        node, str(SCRIPT), open_server.ws_url, "test", "2", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    subscribed = json.loads(await process.stdout.readline())
    async with httpx.AsyncClient(base_url=open_server.url) as http:
        long = "ü" * 40_000  # a frame with a 64-bit length
        for payload in ("Hello", long):
            assert (await http.post("/api/broadcast", json={"channel": "test", "payload": payload})).status_code == 200
    lines = (await process.stdout.read()).splitlines()

    assert (subscribed["type"], subscribed["offset"]) == ("subscribed", 0)
    assert [json.loads(line)["payload"] for line in lines] == ["Hello", long]
    assert await process.wait() == 0, "the closing handshake was not clean"
