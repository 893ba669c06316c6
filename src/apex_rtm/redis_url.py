"""What `engine = redis://…` names: one server, one that Sentinel watches over, or a Cluster. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

SCHEMES: Final = re.compile(r"(rediss?)(?:\+(sentinel|cluster))?://")
_OPTIONS: Final = ("ca", "cert", "key")


class Address(NamedTuple):
    """A TCP address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Target:
    """Where Redis is and how to log in. `ca`, `cert` and `key` are paths of PEM files."""

    kind: Literal["single", "sentinel", "cluster"]
    hosts: tuple[Address, ...]
    tls: bool = False
    user: str | None = None
    password: str | None = None
    service: str = ""
    db: int = 0
    ca: str | None = None
    cert: str | None = None
    key: str | None = None


def is_redis(engine: str) -> bool:
    """Tell whether a setting names Redis at all."""
    return SCHEMES.match(engine) is not None


def split_password(engine: str) -> tuple[str, str | None]:
    """Take the password out of a URL, so that the URL may be printed: (URL without it, password)."""
    found = re.match(r"(rediss?(?:\+\w+)?://[^:@/]*):([^/]*)@", engine)
    if found is None:
        return engine, None
    user = found[1] + "@" if not found[1].endswith("/") else found[1]
    return user + engine[found.end() :], unquote(found[2]) or None


def parse_target(engine: str, password: str | None = None) -> Target:
    """Read a URL. Raises ValueError with what is wrong; never with the password.

    redis://[user@]host[:6379][/db] · redis+sentinel://[user@]host[:26379],host…/service[/db] ·
    redis+cluster://[user@]host[:6379],host… · each with rediss for TLS and ?ca=&cert=&key= for PEM files.
    """
    engine, in_url = split_password(engine)
    scheme = SCHEMES.match(engine)
    if scheme is None:
        raise ValueError("it must be sqlite, memory or a URL like redis://host:6379/0")
    kind = scheme[2] or "single"
    rest = urlsplit("//" + engine[scheme.end() :])
    if engine.count("@") > rest.netloc.count("@") or engine.count("@") > 1:
        # What stands before that @ may be a password; no message may repeat any of it.
        raise ValueError("a / or @ in a user or password is written %2F or %40; or set redis_password instead")
    user, _, hosts = rest.netloc.rpartition("@")
    addresses = tuple(_address(text, 26379 if kind == "sentinel" else 6379) for text in hosts.split(","))
    if kind == "single" and len(addresses) != 1:
        raise ValueError("redis:// names one host; redis+sentinel:// and redis+cluster:// name several")
    path = [unquote(part) for part in rest.path.split("/") if part]
    service = ""
    if kind == "sentinel":
        if not path:
            raise ValueError("redis+sentinel:// needs the name of the service: redis+sentinel://host/service")
        service = path.pop(0)
    if len(path) > 1 or (path and not path[0].isdecimal()) or (path and kind == "cluster"):
        raise ValueError("what follows the host must be a database number, and nothing for a Cluster")
    options = dict(parse_qsl(rest.query))
    unknown = [name for name in options if name not in _OPTIONS]
    if unknown:
        raise ValueError(f"there is no option {unknown[0]!r}, only {', '.join(_OPTIONS)}")
    return Target(
        kind=kind,  # type: ignore[arg-type]  # one of the schemes above
        hosts=addresses,
        tls=scheme[1] == "rediss",
        user=unquote(user) or None,
        password=password or in_url,
        service=service,
        db=int(path[0]) if path else 0,
        **options,
    )


def _address(text: str, default_port: int) -> Address:
    found = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]+)(?::(\d{1,5}))?", text)
    if found is None:
        raise ValueError(f"{text!r} is not host or host:port")
    return Address(found[1].strip("[]"), int(found[2] or default_port))
