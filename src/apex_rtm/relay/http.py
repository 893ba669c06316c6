"""The door to a server somewhere else: POST /api/broadcast/batch on one connection that is kept."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Final
from urllib.parse import urlsplit

import httptools
import msgspec

from apex_rtm.codes import HTTP_STATUS
from apex_rtm.errors import ConfigurationError
from apex_rtm.relay.door import BatchRejected, NotNow, Rejected, Taken, Verdict
from apex_rtm.relay.row import encode_batch

_PATH: Final = "/api/broadcast/batch"
_MAX_ANSWER_BYTES: Final = 4_194_304  # 1,000 results with the longest messages; anything more is not our server
_MAX_EPOCH_CHARACTERS: Final = 512  # RTM_OUTBOX.PUBLICATION_EPOCH
# A server that refuses a body by its declared length closes without reading it, and the reset that follows can overtake
# the answer: the batch would look like a lost connection and be sent for ever. So it is asked before.
_ASK_FROM_BYTES: Final = 65_536
_ASK_WAIT_S: Final = 1.0  # proxies need not answer; then the body follows unasked (RFC 9110, 10.1.1)


class HttpDoor:
    """Publishes with an API key. Follows no redirect: the key belongs to this server."""

    def __init__(self, url: str, key: str | None, timeout_s: float) -> None:
        """`url` is the server's base, with a path where a proxy wants one. Raises ConfigurationError."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
            raise ConfigurationError([f"url: {parts.hostname or 'it'} must look like https://rtm.example.com"])
        if key is not None and not (key.isascii() and key.isprintable()):
            raise ConfigurationError(["the API key must be printable ASCII: it stands in a header"])
        self.url = url
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._timeout_s = timeout_s
        key_line = f"X-API-Key: {key}\r\n" if key else ""
        self._head = (
            f"POST {parts.path.rstrip('/')}{_PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: application/json\r\n{key_line}"
        ).encode("latin-1")
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def publish(self, messages: list[bytes]) -> list[Verdict]:
        """See `Door`. A connection that the server has closed meanwhile is replaced without a word."""
        body = encode_batch(messages)
        try:
            async with asyncio.timeout(self._timeout_s):
                status, answer = await self._post(body)
        except TimeoutError as error:
            self._drop()
            raise NotNow(f"no answer from {self.url} within {self._timeout_s:g} s") from error
        except (OSError, EOFError, httptools.HttpParserError) as error:
            self._drop()
            raise NotNow(f"no answer from {self.url}: {error or type(error).__name__}") from error
        except BaseException:
            self._drop()  # cancelled in the middle: what comes next on this connection is not the answer to what we ask
            raise
        return read_answer(status, answer, len(messages))

    async def close(self) -> None:
        """Close the connection."""
        streams = self._streams
        self._drop()
        if streams is not None:
            with contextlib.suppress(OSError):
                await streams[1].wait_closed()

    def _drop(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        if self._streams is not None and not self._streams[0].at_eof():
            try:
                return await self._exchange(*self._streams, body)
            except (OSError, EOFError):
                pass  # closed while it was idle; ids make a repeat harmless
        self._drop()
        self._streams = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=_MAX_ANSWER_BYTES)
        return await self._exchange(*self._streams, body)

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes
    ) -> tuple[int, bytes]:
        answer = _Answer()
        asks = len(body) > _ASK_FROM_BYTES
        expect = b"Expect: 100-continue\r\n" if asks else b""
        writer.write(b"%bContent-Length: %d\r\n%b\r\n" % (self._head, len(body), expect))
        if asks and await _wait_for_go(reader, answer):
            self._drop()  # the server answered without the body and would wait for it
            return answer.status, b"".join(answer.parts)
        writer.write(body)
        await writer.drain()
        while not answer.is_complete:
            await answer.read(reader)
        if not answer.is_kept:
            self._drop()
        return answer.status, b"".join(answer.parts)


async def _wait_for_go(reader: asyncio.StreamReader, answer: _Answer) -> bool:
    """Return True when the final answer is there already, False when the body is to follow."""
    try:
        async with asyncio.timeout(_ASK_WAIT_S):
            while not answer.may_go_on and not answer.is_complete:
                await answer.read(reader)
    except TimeoutError:
        return False
    return answer.is_complete


class _Answer:
    """One response, read piece by piece; httptools calls the `on_` methods."""

    def __init__(self) -> None:
        self.status = 0
        self.parts: list[bytes] = []
        self.may_go_on = False
        self.is_complete = False
        self.is_kept = True
        self._size_bytes = 0
        self._parser = httptools.HttpResponseParser(self)

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Take what has arrived. Raises EOFError, HttpParserError."""
        data = await reader.read(65_536)
        if not data:
            raise EOFError("the connection was closed before the answer")
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.is_kept = self._parser.should_keep_alive()

    def on_body(self, part: bytes) -> None:
        self._size_bytes += len(part)
        if self._size_bytes > _MAX_ANSWER_BYTES:
            raise EOFError(f"the answer has over {_MAX_ANSWER_BYTES} bytes")
        self.parts.append(part)

    def on_message_complete(self) -> None:
        if 100 <= self.status < 200:
            self.may_go_on = True
        else:
            self.is_complete = True


class _Result(msgspec.Struct):
    ok: bool
    epoch: str = ""
    offset: int = 0
    code: str = ""
    message: str = ""


class _Success(msgspec.Struct):
    results: list[_Result]


class _Failure(msgspec.Struct):
    code: str
    message: str


def read_answer(status: int, body: bytes, count: int) -> list[Verdict]:
    """Turn an answer into verdicts. Raises BatchRejected, NotNow.

    A 400 counts as the messages' fault only in the form of our own server: a proxy answers with a page of its own, for
    instance when it is spoken to without TLS, and every message would be parked.
    """
    if status == 200:
        return _read_results(body, count)
    try:
        failure = msgspec.json.decode(body, type=_Failure)
        text = f"HTTP {status}: {failure.code}: {failure.message}"
        is_ours = failure.code in HTTP_STATUS
    except msgspec.DecodeError:
        text = f"HTTP {status}: {body[:200].decode('utf-8', 'replace')}"
        is_ours = False
    if status == 413 or (status == 400 and is_ours):
        raise BatchRejected(text)
    raise NotNow(text)


def _read_results(body: bytes, count: int) -> list[Verdict]:
    try:
        results = msgspec.json.decode(body, type=_Success).results
    except msgspec.DecodeError as error:
        raise NotNow(f"the answer is not that of a batch: {error}") from error
    if len(results) != count or any(r.ok and not 0 < len(r.epoch) <= _MAX_EPOCH_CHARACTERS for r in results):
        raise NotNow(f"the answer does not have one result for each of {count} messages")
    return [Taken(r.epoch, r.offset) if r.ok else Rejected(r.code, r.message) for r in results]
