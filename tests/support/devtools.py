"""Chromium without Playwright, which keeps every page awake: here tabs can be frozen (Chrome DevTools Protocol)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.support.chromium import ARGUMENTS, find_chromium


class Devtools:
    """One browser. Commands are sent one at a time."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last_id = 0

    async def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command; gives its result. Fails the test where the browser refuses it."""
        self._last_id += 1
        command = {"id": self._last_id, "method": method, "params": params}
        await self._socket.send(json.dumps(command | ({"sessionId": session} if session else {})))
        async with asyncio.timeout(20):
            while True:
                answer = json.loads(await self._socket.recv())
                if answer.get("id") == self._last_id:
                    assert "error" not in answer, answer
                    result: dict[str, Any] = answer["result"]
                    return result

    async def open(self, url: str) -> FreezableTab:
        """A new tab. The one before it is hidden from then on."""
        target = await self.send("Target.createTarget", url=url)
        attached = await self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        return FreezableTab(self, attached["sessionId"])


class FreezableTab:
    """One tab."""

    def __init__(self, devtools: Devtools, session: str) -> None:
        self._devtools = devtools
        self._session = session

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = await self._devtools.send("Runtime.evaluate", self._session, expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until an expression is true; one that fails is not."""
        guarded = f"(() => {{ try {{ return Boolean({expression}); }} catch (error) {{ return false; }} }})()"
        async with asyncio.timeout(20):
            while not await self.evaluate(guarded):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # a protocol of questions has no event for this

    async def freeze(self) -> None:
        """What a browser does with tabs in the background to save energy."""
        await self._devtools.send("Page.setWebLifecycleState", self._session, state="frozen")

    async def thaw(self) -> None:
        """What it does when the tab is looked at again."""
        await self._devtools.send("Page.setWebLifecycleState", self._session, state="active")


@contextlib.asynccontextmanager
async def run_devtools(profile: Path) -> AsyncIterator[Devtools]:
    """A browser for the time of an ``async with`` block."""
    arguments = [*ARGUMENTS, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    process = await asyncio.create_subprocess_exec(find_chromium(), *arguments, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            while True:
                line = (await process.stderr.readline()).decode()
                assert line, "the browser did not start"
                if found := re.search(r"listening on (ws://\S+)", line):
                    break
        async with connect(found[1], max_size=None, proxy=None) as socket:
            yield Devtools(socket)
    finally:
        process.terminate()
        await process.communicate()
