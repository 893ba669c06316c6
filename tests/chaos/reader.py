"""Clients of several nodes: they come back whenever they are closed, and note what should not happen."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.rawclient import RawClient, open_raw

Place = tuple[str, int]


@dataclass(slots=True)
class Seen:
    """What all readers saw together; `ids` is (channel, epoch, offset) → id."""

    delivered: int = 0
    connections: int = 0
    recovered: int = 0
    explicit_gaps: int = 0
    refused: int = 0
    closes: Counter[int] = field(default_factory=Counter)
    silent_gaps: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    ids: dict[tuple[str, str, int], str] = field(default_factory=dict)
    places: dict[tuple[str, str], Place] = field(default_factory=dict)
    twice: set[str] = field(default_factory=set)
    crossings: list[tuple[str, Place, Place]] = field(default_factory=list)

    def note(self, frame: dict[str, Any]) -> None:
        """Compare a publication with what others got at this position, and this id with other positions."""
        channel, place, message_id = frame["channel"], (frame["epoch"], frame["offset"]), frame["id"]
        self.delivered += 1
        if self.ids.setdefault((channel, *place), message_id) != message_id:
            self.different.append(f"{channel} {place}: {message_id}")
        if self.places.setdefault((channel, message_id), place) != place:
            self.twice.add(message_id)

    def check_crossings(self) -> None:
        """Whoever went on into a new epoch without being told must have had all of the one before."""
        tops: dict[tuple[str, str], int] = {}
        for channel, epoch, offset in self.ids:
            tops[channel, epoch] = max(tops.get((channel, epoch), 0), offset)
        for channel, before, after in self.crossings:
            if tops.get((channel, before[0]), 0) > before[1] or after[1] != 1:
                self.silent_gaps.append(f"{channel}: {before} was followed by {after}")


class Reader:
    """Follows one name; `positions` holds how far it came in each channel."""

    def __init__(self, name: str, port: int, token: str, seen: Seen, chance: random.Random) -> None:
        self.name = name
        self.positions: dict[str, Place] = {}
        self.subscribed = asyncio.Event()
        self._port = port
        self._token = token
        self._seen = seen
        self._chance = chance
        self._asked: Place | None = None
        self._progress = asyncio.Event()
        self._client: RawClient | None = None
        self._is_wild = name.endswith("*")

    async def live(self, stop: asyncio.Event) -> None:
        """Connect, and connect again after a random pause whenever it ends, until `stop`."""
        stopping = asyncio.ensure_future(stop.wait())
        while not stop.is_set():
            try:
                self._client = await open_raw(self._port, self._on_text, self._on_open)
            except OSError:
                await asyncio.sleep(self._chance.uniform(0.05, 0.3))
                continue
            self._seen.connections += 1
            waited: set[asyncio.Future[Any]] = {stopping, self._client.closed}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self._client.closed.done():
                self._seen.closes[self._client.closed.result()] += 1
                self.subscribed.clear()
                await asyncio.sleep(self._chance.uniform(0.05, 0.5))
        if self._client is not None:
            self._client._on_text = lambda _: None
            self._client.transport.abort()

    def _on_open(self, client: RawClient) -> None:
        client.send(type="connect", token=self._token)
        self._subscribe(client)

    def _subscribe(self, client: RawClient) -> None:
        command: dict[str, Any] = {"type": "subscribe", "channel": self.name}
        self._asked = None if self._is_wild else self.positions.get(self.name)
        if self._asked is not None:
            command["since"] = {"epoch": self._asked[0], "offset": self._asked[1]}
        client.send(**command)

    def _on_text(self, text: bytes) -> None:
        frame = json.loads(text)
        kind = frame.get("type")
        if kind is None:
            self._on_publication(frame)
        elif kind == "subscribed":
            self._on_subscribed(frame)
        elif kind == "error":
            self._on_error(frame)

    def _on_error(self, frame: dict[str, Any]) -> None:
        assert frame["code"] == "unavailable", frame
        self._seen.refused += 1
        client = self._client

        def again() -> None:
            if client is not None and not client.closed.done():
                self._subscribe(client)

        asyncio.get_running_loop().call_later(self._chance.uniform(0.1, 0.5), again)

    def _on_subscribed(self, frame: dict[str, Any]) -> None:
        place = (frame["epoch"], frame["offset"])
        if frame["recovered"]:
            self._seen.recovered += 1
            if place != self._asked:
                self._seen.silent_gaps.append(f"{self.name}: recovered at {place}, asked {self._asked}")
        elif self._asked is not None or (self._is_wild and self.positions):
            self._seen.explicit_gaps += 1
        self.positions = {} if self._is_wild else {self.name: place}
        self.subscribed.set()
        self._progress.set()

    def _on_publication(self, frame: dict[str, Any]) -> None:
        channel, place = frame["channel"], (frame["epoch"], frame["offset"])
        self._seen.note(frame)
        before = self.positions.get(channel)
        if before is not None:
            if place[0] != before[0]:
                self._seen.crossings.append((channel, before, place))
            elif place[1] <= before[1]:
                self._seen.duplicates.append(f"{self.name}: {channel} {place} after {before}")
            elif place[1] != before[1] + 1:
                self._seen.silent_gaps.append(f"{self.name}: {channel} {place} after {before}")
        self.positions[channel] = place
        self._progress.set()

    async def reach(self, channel: str, place: Place) -> None:
        """Wait until everything up to a position has arrived."""
        while (here := self.positions.get(channel)) is None or here[0] != place[0] or here[1] < place[1]:
            self._progress.clear()
            await self._progress.wait()
