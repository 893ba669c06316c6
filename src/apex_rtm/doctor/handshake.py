"""A TLS handshake, looked at: which certificates a server presents, and what a verifier makes of them."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import socket
import ssl
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

# OpenSSL's flag by which dates are not looked at: an expired chain shall still be called complete.
_NO_CHECK_TIME: Final = 0x200000
_DER: Final = 2  # _ssl.ENCODING_DER


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says. Times are seconds since 1970; `names` are DNS names and addresses it is made for."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    issuer_urls: tuple[str, ...]
    der: bytes

    @property
    def is_self_signed(self) -> bool:
        """Tell whether it names itself as issuer, as roots do."""
        return self.subject == self.issuer

    @property
    def fingerprint(self) -> str:
        """SHA-256, as browsers and orapki show it."""
        return hashlib.sha256(self.der).hexdigest().upper()

    @property
    def pem(self) -> str:
        """The text form, which orapki reads."""
        return ssl.DER_cert_to_PEM_cert(self.der)

    def is_for(self, host: str) -> bool:
        """Tell whether it is made for a host: exact, or a wildcard for one label (RFC 6125, section 6.4.3)."""
        return any(_fits(name, host.lower().rstrip(".")) for name in self.names)


@dataclass(frozen=True, slots=True)
class Handshake:
    """`presented` as sent, leaf first; `trusted` from leaf to root where a way to a known root was found.

    `fault` is OpenSSL's number and words where none was: 18 and 19 self-signed, 20 and 21 an issuer is missing.
    """

    version: str
    presented: tuple[Certificate, ...]
    trusted: tuple[Certificate, ...]
    fault: tuple[int, str] | None


def shake(host: str, port: int, context: ssl.SSLContext, timeout_s: float) -> Handshake:
    """Look twice: once taking everything, once verifying the chain with `context`. Raises OSError.

    The name and the dates are left to the caller, so that one fault does not hide another.
    """
    lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    lenient.check_hostname = False
    lenient.verify_mode = ssl.CERT_NONE
    with _connected(host, port, lenient, timeout_s) as taken:
        version, presented = taken.version() or "", _chain(taken, "get_unverified_chain")
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    try:
        with _connected(host, port, context, timeout_s) as checked:
            return Handshake(version, presented, _chain(checked, "get_verified_chain"), None)
    except ssl.SSLCertVerificationError as error:
        return Handshake(version, presented, (), (error.verify_code, error.verify_message))


def speaks(host: str, port: int, version: ssl.TLSVersion, timeout_s: float) -> bool:
    """Tell whether a server agrees to exactly this version of TLS. Raises OSError when nobody is there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the old versions are what is asked about
        context.minimum_version = version
        context.maximum_version = version
    if version < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("DEFAULT@SECLEVEL=0")  # or OpenSSL would not even offer them
    try:
        with _connected(host, port, context, timeout_s):
            return True
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
        return False


@contextlib.contextmanager
def _connected(host: str, port: int, context: ssl.SSLContext, timeout_s: float) -> Any:
    with (
        socket.create_connection((host, port), timeout=timeout_s) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        yield secure


def _chain(secure: ssl.SSLSocket, method: str) -> tuple[Certificate, ...]:
    """Read a chain. Python has it since 3.10, but hands out its decoded form under this private name only."""
    found: Iterable[Any] = getattr(secure._sslobj, method)() or ()  # type: ignore[attr-defined]  # private
    return tuple(_certificate(one) for one in found)


def _certificate(one: Any) -> Certificate:
    info: dict[str, Any] = one.get_info()
    return Certificate(
        subject=_name(info.get("subject", ())),
        issuer=_name(info.get("issuer", ())),
        names=tuple(str(value).lower() for kind, value in info.get("subjectAltName", ()) if kind in _NAME_KINDS),
        not_before=float(ssl.cert_time_to_seconds(info["notBefore"])),
        not_after=float(ssl.cert_time_to_seconds(info["notAfter"])),
        issuer_urls=tuple(info.get("caIssuers", ())),
        der=one.public_bytes(_DER),
    )


_NAME_KINDS: Final = ("DNS", "IP Address")
_SHORT: Final = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C"}


def _name(parts: Iterable[Iterable[tuple[str, str]]]) -> str:
    pairs = [pair for part in parts for pair in part]
    return ", ".join(f"{_SHORT.get(kind, kind)}={value}" for kind, value in reversed(pairs)) or "(no name)"


def _fits(name: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(host)
    except ValueError:
        pass
    first, _, rest = name.partition(".")
    return name == host or (first == "*" and host.partition(".")[2] == rest != "")
