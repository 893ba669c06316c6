"""TLS without a proxy: certificates exchanged while the server runs, and the door where TLS is spoken first."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from apex_rtm.errors import ConfigurationError
from apex_rtm.log import get_logger

_log = get_logger(__name__)
_OTHERS_READ: Final = 0o004
_OTHERS_ENTER: Final = 0o001
_ACCEPTED_AT_ONCE: Final = 128  # then the others have their turn
_ACCEPT_PAUSE_S: Final = 1.0
_DAY_S: Final = 86_400


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
        if _others_may_read(self._key):
            _log.warning("certificate.exposed", file=str(self._key), remedy="chmod o-r: every user may read the key")
        days = _days_left(self._cert)
        told = {"file": str(self._cert), "sha256": _fingerprint(chain), "days_left": days}
        if days is not None and days < 0:
            # It is used all the same: a server that did not start would be worse, and its clock may be what is wrong.
            _log.warning("certificate.loaded", **told, remedy="expired, no browser takes it: certbot renew")
        else:
            _log.info("certificate.loaded", **told)
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


def _others_may_read(path: Path) -> bool:
    return bool(path.stat().st_mode & _OTHERS_READ and path.parent.stat().st_mode & _OTHERS_ENTER)


def _refuse_password() -> str:
    # OpenSSL would ask on the terminal, and a server that starts unattended would wait there for good.
    raise ConfigurationError(["tls_key: the key is protected by a password; remove it: openssl pkey -in … -out …"])


def _days_left(path: Path) -> int | None:
    """Whole days until the first certificate of a file expires, negative once it has.

    None where this Python cannot tell: it reads certificates from files under this private name only.
    """
    decode = getattr(getattr(ssl, "_ssl", None), "_test_decode_cert", None)
    if decode is None:
        return None
    try:
        expires = ssl.cert_time_to_seconds(decode(str(path))["notAfter"])
    except (ssl.SSLError, OSError, KeyError, ValueError):
        return None
    return math.floor((expires - time.time()) / _DAY_S)


def _fingerprint(chain: str) -> str:
    """Of the first certificate, as browsers and `openssl x509 -fingerprint -sha256` show it, without colons."""
    end = "-----END CERTIFICATE-----"
    first = chain[chain.index("-----BEGIN CERTIFICATE-----") :].split(end, maxsplit=1)[0] + end
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()


class TlsDoor:
    """Listens, and lets sockets in once they speak TLS, each with the certificate that is in force then.

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
        self.waiting: dict[asyncio.Task[None], socket.socket] = {}

    def listen(self, listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> TlsListener:
        """Accept from a listening socket until the result is closed."""
        return TlsListener(self, listener, make_protocol)

    def admit(self, accepted: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        """Make room if there is none, and begin a handshake."""
        if len(self.waiting) >= self.max_handshakes:
            self._cut(next(iter(self.waiting)))
        task = asyncio.get_running_loop().create_task(self._shake(accepted, make_protocol))
        self.waiting[task] = accepted
        task.add_done_callback(lambda done: self.waiting.pop(done, None))

    def shut(self) -> None:
        """Cut who is still in the handshake: the server stops."""
        for task in list(self.waiting):
            self._cut(task)

    def _cut(self, task: asyncio.Task[None]) -> None:
        accepted = self.waiting.pop(task)
        with contextlib.suppress(OSError):
            accepted.shutdown(socket.SHUT_RDWR)
        task.cancel()

    async def _shake(self, accepted: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                make_protocol,
                accepted,
                ssl=self.certificates.context,
                ssl_handshake_timeout=self.handshake_timeout_s,
                ssl_shutdown_timeout=self.shutdown_timeout_s,
            )
        except (OSError, TimeoutError) as error:
            # Scanners, plain HTTP, clients that do not trust the certificate: everyday noise, not an error of ours.
            _log.debug("handshake.failed", reason=str(getattr(error, "reason", None) or error))


class TlsListener:
    """An open door: what asyncio's `Server` is for plain sockets, as far as uvicorn uses it."""

    def __init__(self, door: TlsDoor, listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        self._door = door
        self._listener = listener
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._open()

    def close(self) -> None:
        """Accept nobody any more. What waits in a socket that systemd holds is for the next server."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._listener.fileno())
            if self._pause is not None:
                self._pause.cancel()

    async def wait_closed(self) -> None:
        """Until nobody is in the handshake."""
        await asyncio.gather(*self._door.waiting, return_exceptions=True)

    def _open(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # No descriptors, no memory: asking again at once would only make the loop spin.
                _log.warning("accept.failed", reason=error.strerror)
                self._loop.remove_reader(self._listener.fileno())
                self._pause = self._loop.call_later(_ACCEPT_PAUSE_S, self._open)
                return
            accepted.setblocking(False)
            self._door.admit(accepted, self._make_protocol)
