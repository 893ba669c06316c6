"""Decisions about a request before anything else looks at it: open mode's walls, origins, the client's address."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from apex_rtm.errors import Refused
from apex_rtm.settings import is_loopback

Headers = Sequence[tuple[str, str]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FORWARDING: Final = ("forwarded", "via", "x-real-ip")
_REMEDY: Final = "set api_keys and jwt_secret to run in secured mode"


def check_open_mode(headers: Headers) -> None:
    """Refuse whatever did not come straight from this machine. Raises Refused (open_mode).

    Open mode trusts its callers, so it must not be reachable through a proxy (forwarding headers), by a name that an
    attacker pointed at 127.0.0.1 (DNS rebinding: a foreign Host), or from a foreign page in the developer's own browser
    (Origin).
    """
    hosts = [value for name, value in headers if name == "host"]
    if len(hosts) != 1 or not _is_loopback_netloc(hosts[0]):
        shown = repr(hosts[0][:100]) if len(hosts) == 1 else f"{len(hosts)} times"
        raise Refused("open_mode", f"open mode answers loopback names only, Host is {shown}: {_REMEDY}")
    for name, value in headers:
        if name in _FORWARDING or name.startswith("x-forwarded-"):
            raise Refused("open_mode", f"open mode does not answer through a proxy ({name}): {_REMEDY}")
        if name == "origin" and not _is_loopback_netloc(_netloc(value)):
            raise Refused(
                "open_mode",
                f"open mode answers pages of this machine only, Origin is {value[:100]!r}: {_REMEDY}",
            )


def _netloc(origin: str) -> str:
    """Host and port of an origin; empty for what is no URL at all, `http://[` included, which urlsplit raises for."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


@functools.lru_cache(maxsize=64)
def _is_loopback_netloc(netloc: str) -> bool:
    try:
        parts = urlsplit(f"//{netloc}")
        _ = parts.port
    except ValueError:
        return False
    return parts.hostname is not None and "@" not in netloc and is_loopback(parts.hostname)


def check_origin(headers: Headers, allowed: Sequence[str], *, serves_pages: bool = False) -> None:
    """Refuse a WebSocket from a page that is not welcome. Raises Refused (forbidden_origin).

    Where this server `serves_pages` of its own, those are welcome beside the allowed ones.

    Browsers always send Origin and cannot forge it; programs need not send it, they have their token to show.
    """
    origins = [value for name, value in headers if name == "origin"]
    if not origins or "*" in allowed:
        return
    origin = origins[0].lower()
    if len(origins) == 1 and origin in [name.lower().rstrip("/") for name in allowed]:
        return
    hosts = [value.lower() for name, value in headers if name == "host"]
    own_host = serves_pages or not allowed
    if len(origins) == 1 and len(hosts) == 1 and own_host and _netloc(origin) == hosts[0] != "":
        return
    raise Refused("forbidden_origin", f"origin {origins[0][:100]!r} is not in allowed_origins")


class Proxies:
    """Knows which peers may speak for a client."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks: list[Network] = [ipaddress.ip_network(text, strict=False) for text in trusted]

    def client_ip(self, peer_ip: str, headers: Headers) -> str:
        """The client's address: the last one in X-Forwarded-For that no trusted proxy added itself.

        Read from the right: everything further left was written by somebody who may have lied.
        """
        peer_ip = _plain(peer_ip)
        if not self.is_trusted(peer_ip):
            return peer_ip
        hops = [hop.strip() for name, value in headers if name == "x-forwarded-for" for hop in value.split(",")]
        client = peer_ip
        for hop in reversed(hops):
            try:
                client = _plain(str(ipaddress.ip_address(hop)))
            except ValueError:
                break
            if not self.is_trusted(client):
                break
        return client

    def is_trusted(self, ip: str) -> bool:
        """Tell whether an address is that of a proxy which may speak for others."""
        try:
            address = ipaddress.ip_address(_plain(ip))
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def _plain(ip: str) -> str:
    """An IPv4 address as IPv4: a socket on `::` calls 10.0.0.5 `::ffff:10.0.0.5`, which no IPv4 network contains."""
    try:
        mapped = getattr(ipaddress.ip_address(ip), "ipv4_mapped", None)
    except ValueError:
        return ip
    return ip if mapped is None else str(mapped)
