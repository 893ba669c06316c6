"""The other side of the protocol, for the command line: publish one message, follow channels."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from apex_rtm.channels import Pattern
from apex_rtm.errors import Refused
from apex_rtm.protocol import SUBPROTOCOL


class Unreachable(Exception):
    """There is no server at the address."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A server's answer."""

    status: int
    text: str
    body: dict[str, Any]

    @property
    def message(self) -> str:
        """What the server says is wrong."""
        return str(self.body.get("message", self.text))


def post(url: str, path: str, body: bytes, key: str | None) -> Reached:
    """POST JSON. Raises Unreachable."""
    parts = _parts(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})
    try:
        connection = kind(parts.netloc, timeout=10)
        try:
            connection.request("POST", parts.path.rstrip("/") + path, body, headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"no answer from {url}: {_words(error)}; {_remedy(url, error)}") from error
    except ValueError:
        # Of a header or an address that HTTP cannot carry. The library's words quote it, and it may be the key.
        raise Unreachable(f"no answer from {url}: the address or the key cannot be sent") from None
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = {}
    return Reached(response.status, text.strip(), parsed if isinstance(parsed, dict) else {})


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise Unreachable(f"no answer from {url}: it is no address; write http://localhost:3000") from error


def _words(error: Exception) -> str:
    """Say what happened. A server that speaks TLS answers plain HTTP in bytes that would clear a terminal."""
    return "".join(letter for letter in str(error) if letter.isprintable()) or type(error).__name__


def _remedy(url: str, error: Exception) -> str:
    """Say what to try next."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"apex-rtm doctor --remote --only tls --url {url}"
    if isinstance(error, ssl.SSLError):
        return "try http://, or is there another server on that port?"
    is_garbled = isinstance(error, (ConnectionResetError, http.client.BadStatusLine, InvalidMessage))
    if is_garbled and url.startswith("http://"):
        return "try https://, or is there another server on that port?"
    return "is apex-rtm serve running there?"


async def tail(
    url: str,
    channels: Sequence[str],
    token: str | None,
    count: int | None,
    show: Callable[[str], None],
    note: Callable[[str], None],
) -> Reached:
    """Hand every publication to `show`, everything worth knowing to `note`; come back after every cut and recover.

    Ends after `count` publications. Raises Refused when the server does not want this client, Unreachable when the
    first connection fails.
    """
    parts = _parts(url)
    ws_url = urlunsplit(("wss" if parts.scheme == "https" else "ws", parts.netloc, parts.path or "/", "", ""))
    follower = _Follower(channels, token, count, show, note)
    try:
        # The iterator reconnects with exponential backoff; only what it cannot mend is raised.
        async for socket in connect(ws_url, subprotocols=[Subprotocol(SUBPROTOCOL)], process_exception=follower.judge):
            try:
                if await follower.follow(socket):
                    return Reached(200, "", {})
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                if 4500 <= code <= 4999:
                    raise Refused(
                        "unauthorized", f"the server closed with {code} {closed.rcvd.reason if closed.rcvd else ''}"
                    ) from closed
                note(f"connection lost ({code}), coming back")
    except InvalidStatus as error:
        body = error.response.body or b""
        text = body.decode("utf-8", "replace")
        hint = "; try https://" if "HTTPS port" in text and parts.scheme == "http" else ""
        raise Refused("forbidden", f"HTTP {error.response.status_code}: {text}{hint}") from error
    except (OSError, InvalidHandshake, InvalidURI) as error:
        raise Unreachable(f"no WebSocket at {ws_url}: {_words(error)}; {_remedy(url, error)}") from error
    except UnicodeError as error:
        raise Unreachable(f"no WebSocket at {ws_url}: it is no address") from error
    return Reached(200, "", {})


class _Follower:
    """Positions of the followed channels, over all reconnects."""

    def __init__(
        self, channels: Sequence[str], token: str | None, count: int | None, show: Callable[[str], None],
        note: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._channels = sorted(dict.fromkeys(channels), key=lambda name: name.endswith("*"))
        self._token = token
        self._left = count
        self._show = show
        self._note = note
        self._since: dict[str, dict[str, Any]] = {}
        self._was_connected = False
        self._user: str | None = None
        self._answered: list[str] = []

    def judge(self, error: Exception) -> Exception | None:
        """Say which failures end the following: all before the first connection, refusals (4xx) ever after.

        While the server restarts, its proxy answers 502, or the handshake breaks off.
        """
        if isinstance(error, InvalidStatus):
            is_final = error.response.status_code < 500
        else:
            is_final = isinstance(error, InvalidHandshake) and not isinstance(error, InvalidMessage)
        return error if is_final or not self._was_connected else None

    async def follow(self, socket: Any) -> bool:
        """Follow one connection; return True when `count` is reached. Raises ConnectionClosed, Refused."""
        self._was_connected = True
        self._answered = []
        if self._token is not None:
            await socket.send(json.dumps({"type": "connect", "token": self._token}))
        for channel in self._channels:
            command: dict[str, Any] = {"type": "subscribe", "channel": channel}
            if channel in self._since:
                command["since"] = self._since[channel]
            await socket.send(json.dumps(command))
        async for text in socket:
            if self._take(text):
                return True
        return False

    def _take(self, text: str) -> bool:
        frame = json.loads(text)
        kind = frame.get("type")
        if kind == "error":
            raise Refused(frame["code"], frame["message"])
        if kind == "connected":
            self._user = frame["user"]
        if kind == "subscribed":
            channel = frame["channel"]
            self._answered.append(channel)
            if channel in self._since and not frame["recovered"]:
                self._note(f"{channel}: messages may have been missed")
            if not frame["recovered"]:
                self._since[channel] = {"epoch": frame["epoch"], "offset": frame["offset"]}
            self._note(f"listening on {channel} from offset {frame['offset']}")
        if kind is not None:
            return False
        self._keep_position(frame)
        self._show(text)
        if self._left is not None:
            self._left -= 1
        return self._left == 0

    def _keep_position(self, frame: dict[str, Any]) -> None:
        channel, position = frame["channel"], {"epoch": frame["epoch"], "offset": frame["offset"]}
        # Before its answer nothing comes through a subscription: what others bring then may lie far ahead of it.
        for name in self._answered:
            if name == channel:
                self._since[name] = position
            elif name.endswith("*") and Pattern(name, name[:-1], is_prefix=True, viewer=self._user).matches(channel):
                self._since[name] = {**position, "channel": channel}
