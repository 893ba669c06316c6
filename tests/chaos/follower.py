"""A client that follows one channel over every cut and notices whatever should not happen."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.rawclient import RawClient, open_raw


@dataclass(slots=True)
class Findings:
    """What all followers saw together."""

    delivered: int = 0
    connections: int = 0
    recovered: int = 0
    explicit_gaps: int = 0
    silent_gaps: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    ids: dict[tuple[str, str, int], str] = field(default_factory=dict)


class Follower:
    """Follows `channel`. Its position is what a browser would keep; the findings are shared by all."""

    def __init__(self, channel: str, port: int, findings: Findings) -> None:
        self.channel = channel
        self.position: tuple[str, int] | None = None
        self.subscribed = asyncio.Event()
        self.client: RawClient | None = None
        self._port = port
        self._findings = findings
        self._asked_since = False
        self._progress = asyncio.Event()

    async def connect(self) -> None:
        """Connect and subscribe from the position that was reached. Raises OSError while there is no server."""
        self.subscribed.clear()
        self.client = await open_raw(self._port, self._on_text, self._on_open)
        self._findings.connections += 1

    def _on_open(self, client: RawClient) -> None:
        command: dict[str, Any] = {"type": "subscribe", "channel": self.channel}
        self._asked_since = self.position is not None
        if self.position is not None:
            command["since"] = {"epoch": self.position[0], "offset": self.position[1]}
        client.send(**command)

    def cut(self) -> None:
        """Lose the connection without a word."""
        if self.client is not None:
            self.client.transport.abort()
            # Whatever is still in the buffers of a cut connection never reached the page.
            self.client._on_text = _ignore

    def _on_text(self, text: bytes) -> None:
        frame = json.loads(text)
        kind = frame.get("type")
        if kind == "subscribed":
            self._on_subscribed(frame)
        elif kind is None:
            self._on_publication(frame)

    def _on_subscribed(self, frame: dict[str, Any]) -> None:
        position = (frame["epoch"], frame["offset"])
        if frame["recovered"]:
            self._findings.recovered += 1
            if position != self.position:
                self._findings.silent_gaps.append(f"{self.channel}: recovered at {position}, asked {self.position}")
        elif self._asked_since:
            self._findings.explicit_gaps += 1
        self.position = position
        self.subscribed.set()
        self._progress.set()

    def _on_publication(self, frame: dict[str, Any]) -> None:
        findings, position = self._findings, (frame["epoch"], frame["offset"])
        findings.delivered += 1
        assert self.position is not None, "a publication came before the answer to subscribe"
        key = (self.channel, *position)
        if findings.ids.setdefault(key, frame["id"]) != frame["id"]:
            findings.different.append(f"{key}: {frame['id']} and {findings.ids[key]}")
        if position[0] == self.position[0] and position[1] <= self.position[1]:
            findings.duplicates.append(f"{key} after {self.position}")
        elif position != (self.position[0], self.position[1] + 1) and position[1] != 1:
            findings.silent_gaps.append(f"{key} after {self.position}")
        self.position = position
        self._progress.set()

    async def reach(self, position: tuple[str, int]) -> None:
        """Wait until everything up to `position` has arrived."""
        while self.position is None or self.position[0] != position[0] or self.position[1] < position[1]:
            self._progress.clear()
            await self._progress.wait()

    async def live_with_cuts(self, chance: random.Random, stop: asyncio.Event, *, longest_cut_s: float) -> None:
        """Connect, stay a while, be cut, stay away up to `longest_cut_s`, and again, until `stop`."""
        while not stop.is_set():
            try:
                await self.connect()
                await _wait(stop, chance.uniform(0.0, 3.0))
                self.cut()
                await _wait(stop, chance.uniform(0.0, longest_cut_s))
            except OSError:
                await _wait(stop, 0.05)  # the server is being restarted


def _ignore(_text: bytes) -> None:
    pass


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
