"""TLS without a proxy, on the real server: renewed certificates, broken ones, and clients that misuse the handshake."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.certificate import Pair, fingerprint, make_certificate
from tests.support.server import API_KEY, SECURED, ServerProcess, run_server
from tests.support.tokens import make_token
from tests.support.wire import TIMEOUT_S, wire


class Secure:
    """A server with a certificate that can be renewed."""

    def __init__(self, server: ServerProcess, live: Pair) -> None:
        self.server = server
        self.live = live

    def install(self, pair: Pair) -> None:
        """Put files in place as certbot does, and ask for a reload."""
        for source, target in zip(pair, self.live, strict=True):
            shutil.copy(source, target)
        os.kill(self.server.pid, signal.SIGHUP)

    def events(self, name: str) -> list[dict[str, Any]]:
        entries = [json.loads(line) for line in list(self.server.log) if line.startswith("{")]
        return [entry for entry in entries if entry["event"] == name]

    def wait_for(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not what():
            assert time.monotonic() < deadline, self.server.log
            time.sleep(0.01)

    def shown(self) -> str:
        """Fingerprint of the certificate that a new connection gets."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.server.port)) as plain,
            context.wrap_socket(plain, server_hostname="rtm.example.com") as secure,
        ):
            return hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()

    def wire(self, trusted: Path, **options: Any) -> Any:
        context = ssl.create_default_context(cafile=str(trusted))
        return wire(self.server.ws_url, token=make_token("SCOTT", "test"), ssl=context, **options)

    def publish(self, payload: object) -> httpx.Response:
        with self.server.client() as http:
            return http.post("/api/broadcast", json={"channel": "test", "payload": payload})


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, Pair]:
    directory = tmp_path_factory.mktemp("certificates")
    return make_certificate(directory, stem="old"), make_certificate(directory, stem="new")


@contextlib.contextmanager
def _secure(directory: Path, pair: Pair, **settings: Any) -> Iterator[Secure]:
    live = Pair(directory / "fullchain.pem", directory / "privkey.pem")
    for source, target in zip(pair, live, strict=True):
        shutil.copy(source, target)
    files = {"tls_cert": live.cert, "tls_key": live.key}
    with run_server(directory / "data", **SECURED, **files, **settings) as server:
        yield Secure(server, live)


@pytest.fixture
def secure(tmp_path: Path, pairs: tuple[Pair, Pair]) -> Iterator[Secure]:
    with _secure(tmp_path, pairs[0]) as one:
        yield one


async def test_a_renewed_certificate_needs_no_restart_and_cuts_nobody(secure: Secure, pairs: tuple[Pair, Pair]) -> None:
    old, new = pairs
    assert secure.server.url.startswith("https://")
    async with secure.wire(old.cert) as before:
        await before.subscribe("test")
        secure.install(new)
        secure.wait_for(lambda: bool(secure.events("server.reloaded")))
        with pytest.raises(ssl.SSLCertVerificationError):
            async with secure.wire(old.cert):
                pass
        async with secure.wire(new.cert) as after:
            await after.subscribe("test")
            assert secure.publish("hello").status_code == 200
            for client in (before, after):
                assert [p["payload"] for p in await client.publications(1)] == ["hello"]
    loaded = [entry["sha256"] for entry in secure.events("certificate.loaded")]
    assert loaded == [fingerprint(old.cert), fingerprint(new.cert)]


async def test_broken_files_are_told_and_the_old_certificate_stays(secure: Secure, pairs: tuple[Pair, Pair]) -> None:
    old, new = pairs
    async with secure.wire(old.cert) as before:
        await before.subscribe("test")
        secure.install(Pair(new.cert, old.key))  # half a renewal
        secure.wait_for(lambda: bool(secure.events("certificate.refused")))
        assert "does not belong to" in secure.events("certificate.refused")[0]["problems"][0]
        secure.live.cert.write_text("")
        os.kill(secure.server.pid, signal.SIGHUP)
        secure.wait_for(lambda: len(secure.events("certificate.refused")) == 2)
        assert secure.shown() == fingerprint(old.cert)
        assert secure.publish("still here").status_code == 200
        assert [p["payload"] for p in await before.publications(1)] == ["still here"]
    secure.install(new)
    secure.wait_for(lambda: bool(secure.events("server.reloaded")))
    assert secure.shown() == fingerprint(new.cert)


async def test_reloads_under_load_lose_nothing(secure: Secure, pairs: tuple[Pair, Pair]) -> None:
    """Certificates change again and again while messages flow: every publish is answered, every message arrives."""
    async with secure.wire(pairs[0].cert) as client:
        await client.subscribe("test")
        for number in range(20):
            secure.install(pairs[number % 2])
            answer = await asyncio.to_thread(secure.publish, number)
            assert answer.status_code == 200
        assert [p["payload"] for p in await client.publications(20)] == list(range(20))


async def test_a_stop_tells_everybody_over_tls_too(secure: Secure, pairs: tuple[Pair, Pair]) -> None:
    with socket.create_connection(("127.0.0.1", secure.server.port)):  # and is not held up by half a handshake
        async with secure.wire(pairs[0].cert) as client:
            start = time.monotonic()
            stopping = asyncio.create_task(asyncio.to_thread(secure.server.stop))
            assert (await client.receive())["type"] == "draining"
            assert await client.close_code() == 1012
            assert await stopping == 0
            assert time.monotonic() - start < 5


def test_sockets_that_never_speak_tls_keep_nobody_out(tmp_path: Path, pairs: tuple[Pair, Pair]) -> None:
    with (
        _secure(tmp_path, pairs[0], max_http_connections=20, header_timeout_s=30) as secure,
        contextlib.ExitStack() as s,
    ):
        for _ in range(60):
            s.enter_context(socket.create_connection(("127.0.0.1", secure.server.port)))
        for number in range(5):
            assert secure.publish(number).status_code == 200
        descriptors = len(list(Path(f"/proc/{secure.server.pid}/fd").iterdir()))
        assert descriptors < 60


async def test_a_slow_reader_is_cut_over_tls_too(tmp_path: Path, pairs: tuple[Pair, Pair]) -> None:
    """The bytes that wait for a reader are bounded behind the encryption as well."""
    limits = {"outbox_max_bytes": 1_048_576, "write_timeout_s": 60}
    with _secure(tmp_path, pairs[0], **limits) as secure, secure.server.client() as http:
        async with secure.wire(pairs[0].cert, max_queue=1) as client:
            await client.subscribe("test")
            client.socket.transport.pause_reading()
            sent = 0
            while http.get("/api/connections", params={"user": "SCOTT"}).json()["connections"]:
                assert (
                    http.post("/api/broadcast", json={"channel": "test", "payload": "x" * 500_000}).status_code == 200
                )
                sent += 1
                assert sent < 60, "nobody was cut"
            client.socket.transport.abort()
    assert sent < 40


async def test_a_reader_with_nothing_to_read_is_not_slow_over_tls(tmp_path: Path, pairs: tuple[Pair, Pair]) -> None:
    """Under TLS a buffer limit of 0 counts an empty buffer as full: replays stopped, and quiet readers were cut."""
    with _secure(tmp_path, pairs[0], write_timeout_s=0.2, ping_interval_s=1) as secure:
        async with secure.wire(pairs[0].cert) as client:
            start = await client.subscribe("test")
        for number in range(10):
            assert secure.publish(f"{number}" + "x" * 50_000).status_code == 200
        async with secure.wire(pairs[0].cert) as client:
            since = {"epoch": start["epoch"], "offset": start["offset"]}
            assert (await client.subscribe("test", since=since))["recovered"]
            assert [p["payload"][0] for p in await client.publications(10)] == [str(n) for n in range(10)]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):  # the server's pings are all that is written
                    await client.socket.recv()
            assert secure.publish("still here").status_code == 200
            assert [p["payload"] for p in await client.publications(1)] == ["still here"]


def test_the_wrong_files_are_named_at_the_start(tmp_path: Path, pairs: tuple[Pair, Pair]) -> None:
    for cert, key, words in (
        (tmp_path / "absent.pem", pairs[0].key, "tls_cert: "),
        (pairs[0].cert, pairs[1].key, "tls_key: "),
    ):
        environ = {**os.environ, "APEX_RTM_DATA_DIR": str(tmp_path / "data"), "APEX_RTM_PORT": "0"}
        done = subprocess.run(
            [sys.executable, "-m", "apex_rtm", "serve", "--tls-cert", str(cert), "--tls-key", str(key)],
            env=environ, capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (2, "")
        assert f"configuration: {words}" in done.stderr
        assert "Traceback" not in done.stderr


def test_plain_http_on_the_tls_port_gets_nothing(secure: Secure) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(secure.server.url.replace("https", "http", 1), headers={"X-API-Key": API_KEY})
    assert secure.publish("still here").status_code == 200


def test_a_hangup_without_a_certificate_changes_nothing(open_server: ServerProcess) -> None:
    one = Secure(open_server, Pair(Path(), Path()))
    os.kill(open_server.pid, signal.SIGHUP)
    one.wait_for(lambda: bool(one.events("server.reloaded")))
    with open_server.client() as http:
        assert http.get("/health/ready").status_code == 200
