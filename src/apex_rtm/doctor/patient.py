"""What is examined, and what the checks find out about it for one another."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from apex_rtm.clock import Clock
from apex_rtm.database.sqlplus import Session
from apex_rtm.doctor.handshake import Handshake, shake
from apex_rtm.settings import Settings, is_loopback
from apex_rtm.tokens import TokenVerifier

# Names that nobody else has: the doctor publishes for real, and must not be heard by a page.
CHANNEL: Final = "apex-rtm:doctor"
USER: Final = "APEX-RTM-DOCTOR"
_TOKEN_TTL_S: Final = 120
_SECRETS: Final = (
    "jwt_secret", "console_key", "metrics_key", "redis_password", "oracle_password", "oracle_wallet_password"
)  # fmt: skip
_LEAST_HIDDEN: Final = 4  # a secret of fewer characters would blot out half of the report


class BadUrl(Exception):
    """--url is no address of a server; the text says why."""


@dataclass
class Patient:
    """A server, seen from its configuration, from the network and from the database.

    `settings` is None where they do not load; `problems` then says why. `url` is the public address as http(s)://…
    without a slash at its end. `connect` logs in to the database; without it there is none to look at.
    """

    clock: Clock
    settings: Settings | None = None
    problems: tuple[str, ...] = ()
    config_file: Path | None = None
    url: str | None = None
    origin: str | None = None
    ca_file: Path | None = None
    root_file: Path | None = None
    patience_s: float = 40.0
    is_remote: bool = False
    under_systemd: bool = False
    connect: Callable[[], Session] | None = None
    # Found out on the way: seconds that the server's clock is ahead of this one, and the open session.
    server_ahead_s: float | None = None
    session: Session | None = None
    session_is_lost: bool = field(default=False)

    @property
    def known(self) -> Settings:
        """The settings, for checks that need `config.loads`."""
        if self.settings is None:
            raise RuntimeError("the settings did not load, so this check must not run")
        return self.settings

    @property
    def database(self) -> Session:
        """The session, for checks that need `db.login`."""
        if self.session is None:
            raise RuntimeError("there is no session, so this check must not run")
        return self.session

    @property
    def local_url(self) -> str:
        """Where the server should listen on this machine."""
        settings = self.known
        # Nothing is listened on here: S104 looks at the texts only.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(settings.host, settings.host)  # noqa: S104
        scheme = "https" if settings.tls_cert is not None else "http"
        return f"{scheme}://[{host}]:{settings.port}" if ":" in host else f"{scheme}://{host}:{settings.port}"

    @property
    def base_url(self) -> str:
        """Where pages and the database would go: the public address, else this machine's."""
        return self.url or self.local_url

    @property
    def host(self) -> str:
        """The name in `base_url`."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def port(self) -> int:
        """The port of `base_url`."""
        parts = urlsplit(self.base_url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def is_public(self) -> bool:
        """Tell whether a public address was given that is more than this machine's."""
        return self.url is not None and not is_loopback(self.host)

    @property
    def api_key(self) -> str | None:
        """The first key, where there is one."""
        keys = self.settings.api_keys if self.settings is not None else ()
        return keys[0].get_secret_value() if keys else None

    def token(self, *channels: str) -> str | None:
        """A short token as the database would sign it; None in open mode."""
        settings = self.known
        if settings.jwt_secret is None:
            return None
        verifier = self.verifier()
        minted, _ = verifier.mint(USER, None, channels, min(_TOKEN_TTL_S, settings.max_token_ttl_s))
        return minted

    def verifier(self) -> TokenVerifier:
        """Reads tokens as the server does. Only in secured mode."""
        settings = self.known
        if settings.jwt_secret is None:
            raise RuntimeError("open mode has no tokens")
        return TokenVerifier(
            settings.jwt_secret.get_secret_value(),
            max_ttl_s=settings.max_token_ttl_s,
            leeway_s=settings.clock_leeway_s,
            clock=self.clock,
        )

    def context(self, *, verify: bool = True) -> ssl.SSLContext:
        """TLS as a browser does it. Without `verify` nothing secret may be sent: only handshakes are looked at."""
        context = ssl.create_default_context()
        if self.ca_file is not None:
            context.load_verify_locations(self.ca_file)
        # The certificate of a server that does TLS by itself is made for its public name; on this machine nobody is in
        # between, but a remote one gets no key unseen.
        if not verify or (self.url is None and not self.is_remote):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    @cached_property
    def handshake(self) -> Handshake:
        """What the public address presents; one look for all checks. Raises OSError."""
        return shake(self.host, self.port, self.context(), timeout_s=10)

    def hide(self, text: str) -> str:
        """Take every configured secret out of a text: whatever a library quotes, it must not reach the report."""
        if self.settings is None:
            return text
        settings = self.settings
        hidden = [getattr(settings, name, None) for name in _SECRETS]
        secrets = [*settings.api_keys, *(value for value in hidden if isinstance(value, SecretStr))]
        values = [secret.get_secret_value() for secret in secrets]
        for value in sorted(values, key=len, reverse=True):
            if len(value) >= _LEAST_HIDDEN:
                text = text.replace(value, "(hidden)")
        return text


def normal_url(text: str) -> str:
    """Turn wss://, ws://, https:// or a bare name into http(s)://host[:port][/path]. Raises BadUrl."""
    if "://" not in text:
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise BadUrl(f"{text}: {error}") from error
    scheme = {"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)
    if scheme not in ("http", "https") or not parts.hostname:
        raise BadUrl(f"{text}: must look like wss://rtm.example.com")
    if parts.username is not None or parts.query or parts.fragment or port == 0:
        raise BadUrl(f"{text}: host, port and path only")
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
