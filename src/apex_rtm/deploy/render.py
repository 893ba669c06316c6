"""Fills the templates. What is put in is checked first: a name with a semicolon would be configuration of nginx."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from apex_rtm.errors import ConfigurationError

TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
PROGRAM: Final = "/opt/apex-rtm/current/bin/apex-rtm"
WEBROOT: Final = "/usr/share/nginx/html"
UPSTREAM: Final = "127.0.0.1:3000"
KEY_BYTES: Final = 32

_LABEL: Final = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_DOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})+")
_UPSTREAM: Final = re.compile(rf"(?P<host>{_LABEL}(\.{_LABEL})*|\[[0-9a-fA-F:]+\]):(?P<port>\d{{1,5}})")
_ORIGIN: Final = re.compile(rf"https?://{_LABEL}(\.{_LABEL})*(:\d{{1,5}})?")
_PLACE: Final = re.compile(r"\{\{(\w+)\}\}")
_PATH: Final = re.compile(r"/[\w./-]+")
_CERTBOT: Final = "/etc/letsencrypt/live"
_COPIES: Final = "/run/apex-rtm"  # of the certificate, for a server that speaks TLS itself
_PROXIES: Final = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Site:
    """What a deployment is about. Raises ConfigurationError, naming each wrong option.

    `upstreams` are the servers behind nginx, each host:port. `has_own_tls`: there is no nginx, the server speaks TLS
    itself on port 443.
    """

    domain: str
    origins: Sequence[str] = ()
    upstreams: Sequence[str] = (UPSTREAM,)
    has_own_tls: bool = False
    program: str = PROGRAM
    webroot: str = WEBROOT

    def __post_init__(self) -> None:
        problems = []
        if len(self.domain) > 253 or not _DOMAIN.fullmatch(self.domain):
            problems.append(f"--domain: {self.domain!r} is not a name like rtm.example.com")
        problems += [
            f"--origin: {origin!r} must look like https://apex.example.com"
            for origin in self.origins
            if not _ORIGIN.fullmatch(origin)
        ]
        for upstream in self.upstreams:
            found = _UPSTREAM.fullmatch(upstream)
            if found is None or not 0 < int(found["port"]) < 65536:
                problems.append(f"--upstream: {upstream!r} must look like 127.0.0.1:3000")
        problems += [
            f"{flag}: {path!r} must be an absolute path of letters, digits and . _ - /"
            for flag, path in (("--program", self.program), ("--webroot", self.webroot))
            if not _PATH.fullmatch(path)
        ]
        if problems:
            raise ConfigurationError(problems)


def nginx(site: Site) -> str:
    """/etc/nginx/conf.d/apex-rtm.conf."""
    lines = [f"    server {upstream};" for upstream in site.upstreams]
    if len(lines) > 1:
        # A node that restarts is back in a moment; nginx would leave it alone for ten seconds.
        lines = ["    least_conn;", *(f"    server {upstream} fail_timeout=2s;" for upstream in site.upstreams)]
    return _fill("nginx.conf", domain=site.domain, upstreams="\n".join(lines), webroot=site.webroot)


def service(site: Site) -> str:
    """/etc/systemd/system/apex-rtm.service."""
    certificate = ""
    if site.has_own_tls:
        files = f"{_CERTBOT}/{site.domain}/fullchain.pem {_CERTBOT}/{site.domain}/privkey.pem"
        # A new file each time, with its final mode from the beginning. `install -m` would set the mode by name after
        # writing: in a directory of the service, which could put a link to /etc/shadow there in between.
        copy = f"+/bin/sh -c 'umask 0222 && exec cp --no-preserve=mode --remove-destination {files} /run/apex-rtm/'"
        certificate = (
            "# Copied by root (+) into a directory that only root and the service can enter; again at every reload.\n"
            "RuntimeDirectory=apex-rtm\nRuntimeDirectoryMode=0700\n"
            f"ExecStartPre={copy}\nExecReload={copy}\n"
        )
    flags = f" --tls --domain {site.domain}" if site.has_own_tls else ""
    return _fill("apex-rtm.service", program=site.program, certificate=certificate, flags=flags)


def listening(site: Site) -> str:
    """/etc/systemd/system/apex-rtm.socket. Raises ConfigurationError where the first upstream is no address.

    systemd takes addresses only: with a name it would refuse the whole socket, and the service that needs it.
    """
    host = site.upstreams[0].rpartition(":")[0]
    if not site.has_own_tls and not _is_address(host.strip("[]")):
        raise ConfigurationError([f"--upstream: the socket needs an address like 127.0.0.1, not {host!r}"])
    flags = f" --tls --domain {site.domain}" if site.has_own_tls else ""
    return _fill("apex-rtm.socket", listen="443" if site.has_own_tls else site.upstreams[0], flags=flags)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def nginx_limits() -> str:
    """/etc/systemd/system/nginx.service.d/apex-rtm.conf."""
    return _fill("nginx-limits.conf")


def configuration(site: Site, secret: str | None = None) -> str:
    """/etc/apex-rtm/apex-rtm.toml with fresh secrets; `secret` is for the example in the repository only."""
    if site.has_own_tls:
        front = (
            "# Copies that apex-rtm.service makes at each start and reload.\n"
            f'tls_cert = "{_COPIES}/fullchain.pem"\ntls_key = "{_COPIES}/privkey.pem"'
        )
    else:
        front = "# nginx on this machine says who the client is.\n" + 'trusted_proxies = ["127.0.0.1", "::1"]'
    return _fill(
        "apex-rtm.toml",
        domain=site.domain,
        origins=", ".join(f'"{origin}"' for origin in site.origins),
        api_key=secret or fresh_secret(),
        jwt_secret=secret or fresh_secret(),
        front=front,
    )


def chosen(site: Site) -> dict[str, str | list[str]]:
    """The settings of the configuration that follow from the options, by name; secrets are not among them."""
    settings: dict[str, str | list[str]] = {"allowed_origins": list(site.origins)} if site.origins else {}
    if site.has_own_tls:
        return settings | {"tls_cert": f"{_COPIES}/fullchain.pem", "tls_key": f"{_COPIES}/privkey.pem"}
    return settings | {"trusted_proxies": list(_PROXIES)}


def fresh_secret() -> str:
    """256 random bits in letters, digits, - and _."""
    return secrets.token_urlsafe(KEY_BYTES)


def _fill(template: str, **values: str) -> str:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    return _PLACE.sub(lambda found: _take(values, found[1]), text)


def _take(values: Mapping[str, str], name: str) -> str:
    return values[name]
