"""A publisher that repeats what was not answered, and remembers what was."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Ledger:
    """Every answered publication: channel → offset → id, and the newest position of each channel."""

    answered: dict[str, dict[tuple[str, int], str]] = field(default_factory=dict)
    top: dict[str, tuple[str, int]] = field(default_factory=dict)
    repeats: int = 0

    def note(self, channel: str, epoch: str, offset: int, message_id: str) -> None:
        self.answered.setdefault(channel, {})[epoch, offset] = message_id
        if channel not in self.top or self.top[channel][0] != epoch or self.top[channel][1] < offset:
            self.top[channel] = (epoch, offset)

    @property
    def count(self) -> int:
        return sum(len(of_channel) for of_channel in self.answered.values())


class Load:
    """One publisher on one kept connection."""

    def __init__(self, name: str, port: int, ledger: Ledger) -> None:
        self._name = name
        self._port = port
        self._ledger = ledger
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, channels: list[str], pause_s: float, stop: asyncio.Event) -> None:
        """Publish round robin until `stop`; each message is repeated with its id until it is answered."""
        number = 0
        while not stop.is_set():
            number += 1
            await self._publish(channels[number % len(channels)], f"{self._name}-{number}", number)
            await asyncio.sleep(pause_s)
        self._drop()

    async def _publish(self, channel: str, message_id: str, number: int) -> None:
        body = json.dumps({"channel": channel, "eventName": "n", "payload": number, "id": message_id}).encode()
        while True:
            try:
                async with asyncio.timeout(5):
                    status, answer = await self._post(body)
            except (OSError, EOFError, TimeoutError):
                self._drop()
                self._ledger.repeats += 1
                await asyncio.sleep(0.02)
                continue
            if status == 200:
                self._ledger.note(channel, answer["epoch"], answer["offset"], answer["id"])
                return
            assert status == 503, answer
            await asyncio.sleep(0.05)

    async def _post(self, body: bytes) -> tuple[int, dict[str, Any]]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        head = b"POST /api/broadcast HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(head + body)
        headers = await reader.readuntil(b"\r\n\r\n")
        lines = headers.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        answer = json.loads(await reader.readexactly(length))
        return int(lines[0].split()[1]), answer

    def _drop(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
