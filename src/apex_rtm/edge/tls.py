"""TLS without a proxy: certificates exchanged while the server runs, and the door where TLS is spoken first."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from apex_rtm.errors import ConfigurationError
from apex_rtm.log import get_logger

_log = get_logger(__name__)
_OTHERS_MAY_READ: Final = 0o004


class Certificates:
    """The certificate in force. Raises ConfigurationError, at the start and at every reload, naming the file."""

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert = cert
        self._key = key
        self.context = self._load()

    def reload(self) -> None:
        """Read the files again: new connections get the new certificate, those that are open keep theirs.

        Raises ConfigurationError, and then nothing has changed. A context is never changed in place: with one file new
        and the other old, it would fit nobody.
        """
        self.context = self._load()

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A client could otherwise start handshake after handshake on one connection (TLS 1.2).
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(["http/1.1"])
        chain = _read("tls_cert", self._cert)
        _read("tls_key", self._key)
        if "-----BEGIN CERTIFICATE-----" not in chain:
            raise ConfigurationError([f"tls_cert: {self._cert} holds no certificate in PEM form"])
        try:
            context.load_cert_chain(self._cert, self._key, password=_refuse_password)
        except ssl.SSLError as error:
            raise ConfigurationError([self._explain(error)]) from error
        except OSError as error:
            raise ConfigurationError([f"tls_cert: {self._cert} cannot be read: {error.strerror}"]) from error
        if self._key.stat().st_mode & _OTHERS_MAY_READ:
            _log.warning("certificate.exposed", file=str(self._key), remedy="chmod o-r: every user may read the key")
        _log.info("certificate.loaded", file=str(self._cert), sha256=_fingerprint(chain))
        return context

    def _explain(self, error: ssl.SSLError) -> str:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"tls_key: {self._key} does not belong to the certificate in {self._cert}"
        if "PRIVATE KEY-----" not in _read("tls_key", self._key):
            return f"tls_key: {self._key} holds no private key in PEM form"
        reason = error.reason or "not understood"
        return f"tls_cert: {self._cert} with {self._key} cannot be used: {reason.lower().replace('_', ' ')}"


def _read(setting: str, path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigurationError([f"{setting}: {path} cannot be read: {error.strerror}"]) from error


def _refuse_password() -> str:
    # OpenSSL would ask on the terminal, and a server that starts unattended would wait there for good.
    raise ConfigurationError(["tls_key: the key is protected by a password; remove it: openssl pkey -in … -out …"])


def _fingerprint(chain: str) -> str:
    """Of the first certificate, as browsers and `openssl x509 -fingerprint -sha256` show it, without colons."""
    end = "-----END CERTIFICATE-----"
    first = chain[chain.index("-----BEGIN CERTIFICATE-----") :].split(end, maxsplit=1)[0] + end
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()


class TlsDoor:
    """Lets sockets in once they speak TLS, each with the certificate that is in force then.

    Sockets in the handshake are counted here, before anybody else knows of them: who only connects and says nothing
    could otherwise take every file descriptor. Above `max_handshakes` the one that has waited longest goes.
    """

    def __init__(
        self, certificates: Certificates, max_handshakes: int, handshake_timeout_s: float, shutdown_timeout_s: float
    ) -> None:
        self.certificates = certificates
        self.max_handshakes = max_handshakes
        self.handshake_timeout_s = handshake_timeout_s
        self.shutdown_timeout_s = shutdown_timeout_s
        self.waiting: dict[Handshake, None] = {}

    def wrap(self, connection: Callable[..., asyncio.Protocol]) -> Callable[..., Handshake]:
        """Make of uvicorn's protocol class one that does the handshake first; it is called with uvicorn's keywords."""

        def secured(**keywords: Any) -> Handshake:
            return Handshake(self, connection(**keywords))

        return secured

    def shut(self) -> None:
        """Cut who is still in the handshake: the server stops."""
        for handshake in list(self.waiting):
            handshake.abort()


class Handshake(asyncio.Protocol):
    """One accepted socket until TLS is agreed on; then `inner` takes over."""

    def __init__(self, door: TlsDoor, inner: asyncio.Protocol) -> None:
        self._door = door
        self._inner = inner
        self._early: list[bytes] = []
        self._is_lost = False
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room if there is none, and begin."""
        self._transport = transport
        transport.pause_reading()  # what comes now is for TLS, which is not there before the task runs
        if len(self._door.waiting) >= self._door.max_handshakes:
            next(iter(self._door.waiting)).abort()
        self._door.waiting[self] = None
        self._task = asyncio.get_running_loop().create_task(self._shake())

    def data_received(self, data: bytes) -> None:
        """Keep a request that came with the end of the handshake: `inner` does not know its socket yet."""
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone before `inner` heard of it."""
        self._is_lost = True
        self._door.waiting.pop(self, None)

    def abort(self) -> None:
        """Cut the socket."""
        self._door.waiting.pop(self, None)
        self._transport.abort()
        self._task.cancel()

    async def _shake(self) -> None:
        door, loop = self._door, asyncio.get_running_loop()
        try:
            secure = await loop.start_tls(
                self._transport,
                self,
                door.certificates.context,
                server_side=True,
                ssl_handshake_timeout=door.handshake_timeout_s,
                ssl_shutdown_timeout=door.shutdown_timeout_s,
            )
        except (OSError, TimeoutError) as error:
            # Scanners, plain HTTP, clients that do not trust the certificate: everyday noise, not an error of ours.
            _log.debug("handshake.failed", reason=str(getattr(error, "reason", None) or error))
            self._transport.abort()
            return
        finally:
            door.waiting.pop(self, None)
        if secure is None or self._is_lost:
            self._transport.abort()
            return
        self._inner.connection_made(secure)
        secure.set_protocol(self._inner)
        for data in self._early:
            self._inner.data_received(data)
