"""TLS at the door: what is refused at the start, what a reload changes, and who may wait in the handshake."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from apex_rtm.edge import tls as module
from apex_rtm.edge.tls import Certificates, TlsDoor
from apex_rtm.errors import ConfigurationError
from tests.support.certificate import Pair, fingerprint, make_certificate, openssl


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Pair]:
    """Two certificates for the same name: before and after a renewal."""
    directory = tmp_path_factory.mktemp("certificates")
    return make_certificate(directory, stem="old"), make_certificate(directory, stem="new")


# ── files ──


def test_a_good_pair_is_loaded_with_safe_terms(pairs: tuple[Pair, Pair]) -> None:
    with structlog.testing.capture_logs() as logs:
        context = Certificates(*pairs[0]).context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert [(entry["event"], entry["sha256"]) for entry in logs] == [("certificate.loaded", fingerprint(pairs[0].cert))]


def test_an_expired_certificate_is_loaded_with_a_warning(
    pairs: tuple[Pair, Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    told = []
    for days in (0, 10):
        monkeypatch.setattr(time, "time", lambda later=now + days * 86_400: later)
        with structlog.testing.capture_logs() as logs:
            Certificates(*pairs[0])
        told.append((logs[0]["log_level"], logs[0]["days_left"], "certbot renew" in logs[0].get("remedy", "")))
    assert told == [("info", 1, False), ("warning", -9, True)]


def faulty(kind: str, good: Pair, other: Pair, directory: Path) -> tuple[Pair, str]:  # noqa: PLR0911 - one a fault
    """Files with one fault, and the words that must name it."""
    cert, key = directory / "cert.pem", directory / "key.pem"
    cert.write_bytes(good.cert.read_bytes())
    key.write_bytes(good.key.read_bytes())
    pair = Pair(cert, key)
    if kind == "no certificate":
        return Pair(directory / "absent.pem", key), f"tls_cert: {directory}/absent.pem cannot be read: No such file"
    if kind == "no key":
        return Pair(cert, directory / "absent.pem"), f"tls_key: {directory}/absent.pem cannot be read: No such file"
    if kind == "mismatch":
        key.write_bytes(other.key.read_bytes())
        return pair, f"tls_key: {key} does not belong to the certificate in {cert}"
    if kind == "exchanged":
        return Pair(key, cert), f"tls_cert: {key} holds no certificate"
    if kind == "key is no key":
        key.write_text("not a key")
        return pair, f"tls_key: {key} holds no private key"
    if kind == "cut short":
        cert.write_bytes(cert.read_bytes()[:200] + b"\n-----END CERTIFICATE-----\n")
        return pair, f"tls_cert: {cert} with {key} cannot be used"
    openssl("pkey", "-in", good.key, "-out", key, "-aes256", "-passout", "pass:wordpass")
    return pair, "tls_key: the key is protected by a password; remove it"


KINDS = ["no certificate", "no key", "mismatch", "exchanged", "key is no key", "cut short", "password"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_is_named_at_the_start_and_harmless_at_a_reload(
    kind: str, pairs: tuple[Pair, Pair], tmp_path: Path
) -> None:
    bad, words = faulty(kind, *pairs, tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        Certificates(*bad)
    assert words in caught.value.problems[0]

    live = Pair(tmp_path / "live.pem", tmp_path / "live.key")
    for source, target in zip(pairs[0], live, strict=True):
        target.write_bytes(source.read_bytes())
    certificates = Certificates(*live)
    before = certificates.context
    for source, target in zip(bad, live, strict=True):
        target.unlink()
        if source.exists():
            target.write_bytes(source.read_bytes())
    with pytest.raises(ConfigurationError):
        certificates.reload()
    assert certificates.context is before


def test_a_key_that_everybody_may_read_is_told(pairs: tuple[Pair, Pair], tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(pairs[0].key.read_bytes())
    exposed, closed = ["certificate.exposed", "certificate.loaded"], ["certificate.loaded"]
    for mode, directory, events in ((0o644, 0o755, exposed), (0o640, 0o755, closed), (0o644, 0o700, closed)):
        key.chmod(mode)
        tmp_path.chmod(directory)
        with structlog.testing.capture_logs() as logs:
            Certificates(pairs[0].cert, key)
        assert [entry["event"] for entry in logs] == events


# ── the door ──


class Echo(asyncio.Protocol):
    """What is behind the door: says back what it hears, and what it saw."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.is_tls = transport.get_extra_info("sslcontext") is not None

    def data_received(self, data: bytes) -> None:
        self.transport.write(data.upper())


class House:
    """A listening server whose door speaks TLS."""

    def __init__(self, pair: Pair, **limits: Any) -> None:
        values: dict[str, Any] = {
            "max_handshakes": 3, "handshake_timeout_s": 5.0, "shutdown_timeout_s": 1.0, **limits
        }  # fmt: skip
        self.door = TlsDoor(Certificates(*pair), **values)
        self.inner: list[Echo] = []
        self.port = 0

    def make(self) -> Echo:
        self.inner.append(Echo())
        return self.inner[-1]

    async def waiting(self, count: int) -> None:
        """Until so many are in the handshake; accepting takes a turn or two of the loop."""
        async with asyncio.timeout(5):
            while len(self.door.waiting) != count:  # noqa: ASYNC110 - the door tells nobody of it
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def open_house(pair: Pair, **limits: Any) -> AsyncIterator[House]:
    house = House(pair, **limits)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        server = house.door.listen(listener, house.make)
        house.port = listener.getsockname()[1]
        try:
            yield house
        finally:
            server.close()
            house.door.shut()
            for inner in house.inner:
                if hasattr(inner, "transport"):
                    inner.transport.abort()
            await server.wait_closed()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def call(house: House, trusted: Path) -> tuple[str, Streams]:
    """Connect; return the fingerprint of the certificate that was shown."""
    context = ssl.create_default_context(cafile=str(trusted))
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return hashlib.sha256(shown).hexdigest(), (reader, writer)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> bytes:
    writer.write(text)
    async with asyncio.timeout(5):
        return await reader.readexactly(len(text))


async def test_new_connections_get_the_new_certificate_and_old_ones_live_on(pairs: tuple[Pair, Pair]) -> None:
    old, new = pairs
    async with open_house(old) as house:
        shown, before = await call(house, old.cert)
        assert shown == fingerprint(old.cert)
        assert await ask(*before, b"hello") == b"HELLO"
        assert house.inner[0].is_tls

        house.door.certificates = Certificates(*new)
        shown, after = await call(house, new.cert)
        assert shown == fingerprint(new.cert)
        assert await ask(*after, b"new") == b"NEW"
        assert await ask(*before, b"still here") == b"STILL HERE"
        for _, writer in (before, after):
            writer.transport.abort()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_are_spoken(pairs: tuple[Pair, Pair], version: ssl.TLSVersion) -> None:
    async with open_house(pairs[0]) as house:
        context = ssl.create_default_context(cafile=str(pairs[0].cert))
        context.minimum_version = context.maximum_version = version
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port, ssl=context)
        assert await ask(reader, writer, b"x" * 100_000) == b"X" * 100_000
        writer.transport.abort()


async def test_an_old_version_is_not(pairs: tuple[Pair, Pair]) -> None:
    async with open_house(pairs[0]) as house:
        context = ssl.create_default_context(cafile=str(pairs[0].cert))
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", house.port, ssl=context)
        await house.waiting(0)


async def test_who_says_nothing_goes_when_the_time_is_up(pairs: tuple[Pair, Pair]) -> None:
    async with open_house(pairs[0], handshake_timeout_s=0.05) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        assert not house.door.waiting
        writer.close()


async def test_who_speaks_plain_http_is_cut_and_nobody_is_told_of_him(pairs: tuple[Pair, Pair]) -> None:
    async with open_house(pairs[0]) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: rtm.example.com\r\n\r\n")
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                await reader.read()
        await house.waiting(0)
        assert not hasattr(house.inner[0], "transport")
        writer.close()


async def test_the_one_that_has_waited_longest_makes_room(pairs: tuple[Pair, Pair]) -> None:
    """A flood of sockets that only connect must not keep out who means it."""
    async with open_house(pairs[0], max_handshakes=2) as house:
        idle = []
        for count in (1, 2):
            idle.append(await asyncio.open_connection("127.0.0.1", house.port))
            await house.waiting(count)
        _, (reader, writer) = await call(house, pairs[0].cert)
        assert await ask(reader, writer, b"in") == b"IN"
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await idle[0][0].read() == b""
        assert len(house.door.waiting) == 1
        for one in (*(pair[1] for pair in idle), writer):
            one.transport.abort()


async def test_who_leaves_in_the_handshake_is_forgotten(pairs: tuple[Pair, Pair]) -> None:
    async with open_house(pairs[0]) as house:
        _, writer = await asyncio.open_connection("127.0.0.1", house.port)
        await house.waiting(1)
        writer.transport.abort()
        await house.waiting(0)


async def test_a_stop_cuts_who_is_in_the_handshake(pairs: tuple[Pair, Pair]) -> None:
    async with open_house(pairs[0]) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        await house.waiting(1)
        house.door.shut()
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        assert not house.door.waiting
        writer.close()


async def test_a_request_that_comes_with_the_handshake_is_not_lost(pairs: tuple[Pair, Pair]) -> None:
    """TLS 1.3 clients send theirs with the last flight, before the server's task has woken up."""
    async with open_house(pairs[0]) as house:
        context = ssl.create_default_context(cafile=str(pairs[0].cert))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        writer.write(outgoing.read())
        while True:
            incoming.write(await reader.read(65_536))
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        client.write(b"early")
        writer.write(outgoing.read())  # Finished and the request in one segment
        answer = b""
        async with asyncio.timeout(5):
            while answer != b"EARLY":
                incoming.write(await reader.read(65_536))
                with contextlib.suppress(ssl.SSLWantReadError):
                    answer += client.read()
        writer.transport.abort()


class Exhausted:
    """A listening socket on a system without descriptors, for a while."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.calls = 0

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self) -> tuple[socket.socket, object]:
        self.calls += 1
        if self.calls == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listener.accept()


async def test_without_descriptors_it_waits_and_does_not_spin(
    pairs: tuple[Pair, Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ACCEPT_PAUSE_S", 0.2)
    house = House(pairs[0])
    with socket.create_server(("127.0.0.1", 0)) as listener, structlog.testing.capture_logs() as logs:
        listener.setblocking(False)
        exhausted = Exhausted(listener)
        server = house.door.listen(exhausted, house.make)  # type: ignore[arg-type]
        house.port = listener.getsockname()[1]
        start = asyncio.get_running_loop().time()
        _, (reader, writer) = await call(house, pairs[0].cert)
        assert await ask(reader, writer, b"at last") == b"AT LAST"
        assert asyncio.get_running_loop().time() - start >= 0.2
        assert exhausted.calls < 6
        server.close()
        server.close()
        writer.transport.abort()
        house.inner[0].transport.abort()
    assert [entry["event"] for entry in logs].count("accept.failed") == 1
