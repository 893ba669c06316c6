"""What stands in front of the server: are WebSockets let through, for long enough, and addresses, and large bodies."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import time
from typing import Any, Final
from urllib.parse import quote, urlsplit

from apex_rtm.doctor.check import Check, Outcome, failure, ok, skipped, warning
from apex_rtm.doctor.configuration import KEYLESS, SECURE, WITH_FILE
from apex_rtm.doctor.foreign import word
from apex_rtm.doctor.patient import USER, Patient
from apex_rtm.doctor.request import Answer, NoAnswer, call, with_key
from apex_rtm.doctor.wire import Cut, HandshakeRefused, Wire

_FORGED: Final = "203.0.113.77"  # of TEST-NET-3 (RFC 5737): nobody's
_RELOAD: Final = "nginx -t && systemctl reload nginx"
_UPGRADE: Final = (
    "proxy_http_version 1.1;",
    "proxy_set_header Upgrade $http_upgrade;",
    "proxy_set_header Connection $apex_rtm_connection;",
    "map $http_upgrade $apex_rtm_connection { default upgrade; '' ''; }    # in the http block",
    "apex-rtm deploy nginx --domain NAME    # prints the whole file; then: " + _RELOAD,
)
_DEAD: Final = (
    "proxy_pass http://127.0.0.1:{port};    # where the server listens",
    "systemctl status apex-rtm",
    "setsebool -P httpd_can_network_connect 1    # SELinux forbids nginx to connect, by default",
)


def _upgrade(patient: Patient) -> Outcome:
    if patient.url is None:
        return skipped("no address of a proxy was given", "apex-rtm doctor --url wss://rtm.example.com")
    try:
        with Wire(patient.url, patient.context(verify=False)):
            return ok("101 Switching Protocols")
    except HandshakeRefused as refused:
        return _explain(patient, refused)
    except (OSError, Cut) as error:
        return failure(f"no WebSocket: {error}", "tail /var/log/nginx/error.log", "systemctl status apex-rtm")


def _explain(patient: Patient, refused: HandshakeRefused) -> Outcome:
    """What an answer other than 101 means, and the line of nginx that mends it."""
    status, code = refused.status, refused.code
    port = patient.known.port
    if code is not None and status in (403, 503):
        return failure(f"the server itself refuses with {status} {code}: {_words(refused.body)}", *_own(code))
    dead = tuple(line.format(port=port) for line in _DEAD)
    meanings: dict[int, tuple[str, tuple[str, ...]]] = {
        0: ("that is no HTTP: TLS on a plain port, or the reverse", (f"listen {patient.port} ssl;", _RELOAD)),
        200: ("it came through as a plain GET: the proxy drops the Upgrade header", _UPGRADE),
        400: ("the handshake arrived in pieces: the proxy passes on only a part of its headers", _UPGRADE),
        401: ("the proxy asks for a password, which a WebSocket cannot give", ("auth_basic off;", _RELOAD)),
        403: ("the proxy forbids it", ("allow all;    # in location = / of nginx, or its firewall rules", _RELOAD)),
        404: (f"there is no location for {urlsplit(patient.base_url).path or '/'} in the proxy",
              (f"location = / {{ proxy_pass http://127.0.0.1:{port}; }}", _RELOAD)),
        405: ("the proxy serves files there", (f"location = / {{ proxy_pass http://127.0.0.1:{port}; }}", _RELOAD)),
        426: ("the proxy speaks HTTP/1.0 to the server, which has no Upgrade", _UPGRADE),
        502: ("the proxy is there, the server behind it is not", dead),
        503: ("the proxy has no server to pass it to", dead),
        504: ("the server behind the proxy does not answer", ("proxy_connect_timeout 5s;", *dead)),
    }  # fmt: skip
    if 300 <= status < 400:
        return failure(
            f"{status}: sent on to {refused.location}, where no browser follows a WebSocket",
            f"apex-rtm doctor --url {word(refused.location or 'wss://NAME')}    # use that address in the pages",
        )
    words, remedy = meanings.get(status, ("not an answer of this server", ("tail /var/log/nginx/error.log",)))
    return failure(f"{status} instead of 101: {words}", *remedy)


def _words(body: str) -> str:
    return str(json.loads(body).get("message", ""))


def _own(code: str) -> tuple[str, ...]:
    if code == "open_mode":
        return SECURE
    return ("journalctl -u apex-rtm -n 50",)


def _idle(patient: Patient) -> Outcome:
    """Hold a silent connection until the server has pinged: whatever cuts before that would cut every quiet page."""
    try:
        with Wire(patient.base_url, patient.context()) as wire:
            begun = time.monotonic()
            connected = wire.ask(type="connect", token=patient.token() or "")
            if connected.get("type") != "connected":
                return _no_token(patient, connected)
            return _await_ping(wire, begun, float(connected["pingIntervalS"]), patient.patience_s)
    except (OSError, Cut, HandshakeRefused) as error:
        return failure(f"the connection failed: {error}", "tail /var/log/nginx/error.log")


def _no_token(patient: Patient, answer: dict[str, Any]) -> Outcome:
    if patient.known.is_open and answer.get("code") == "unauthorized":
        return skipped(KEYLESS, WITH_FILE)
    return skipped(f"the token is refused, see loop.publish: {answer.get('message')}")


def _await_ping(wire: Wire, begun: float, interval_s: float, patience_s: float) -> Outcome:
    ours = "ping_interval_s = {}    # below the idle timeout of everything in between"
    if interval_s > patience_s:
        again = f"apex-rtm doctor --wait {interval_s + 5:.0f}"
        return warning(f"the server pings every {interval_s:g} s only; not waited for", ours.format(25), again)
    try:
        wire.await_ping(begun + interval_s + 10)
    except TimeoutError:
        return failure(
            f"no ping within {interval_s + 10:g} s: something in between swallows control frames",
            "a proxy that understands WebSockets, such as nginx, passes them on",
        )
    except (Cut, OSError):
        lasted_s = time.monotonic() - begun
        return failure(
            f"cut after {lasted_s:.1f} s of silence, before the first ping at {interval_s:g} s",
            f"proxy_read_timeout {max(90, 3 * interval_s):.0f}s;    # in nginx; then: {_RELOAD}",
            ours.format(max(1, int(lasted_s / 2))),
        )
    return ok(f"a silent connection lives on to the ping at {wire.pings[0] - begun:.1f} s")


def _client_ip(patient: Patient) -> Outcome:
    """Say that we are somebody else, and ask the server who it thinks we are."""
    if patient.api_key is None:
        return skipped("open mode lets nothing come through a proxy")
    source = _other_loopback(patient.host)
    try:
        with Wire(
            patient.base_url, patient.context(), headers=[("X-Forwarded-For", _FORGED)], source_ip=source
        ) as wire:
            connected = wire.ask(type="connect", token=patient.token() or "")
            if connected.get("type") != "connected":
                return _no_token(patient, connected)
            mine = connected["connection"]
            listed = call(patient.base_url, "GET", f"/api/connections?limit=1000&user={quote(USER)}", patient.context(),
                          headers=with_key(patient.api_key))  # fmt: skip
            seen = next((one["ip"] for one in listed.json.get("connections", []) if one["id"] == mine), None)
            return _judge_ip(seen, wire.local_ip, listed)
    except (OSError, Cut, HandshakeRefused, NoAnswer) as error:
        return failure(f"the connection failed: {error}", "tail /var/log/nginx/error.log")


def _other_loopback(host: str) -> str | None:
    """An address of this machine that no proxy has, so that the two can be told apart; None for a public name."""
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host, None, socket.AF_INET)}
    except OSError:
        return None
    return "127.0.0.77" if addresses and all(ipaddress.ip_address(ip).is_loopback for ip in addresses) else None


def _judge_ip(seen: str | None, mine: str, listed: Answer) -> Outcome:
    name = "proxy_set_header X-Forwarded-For $remote_addr;"
    trust = 'trusted_proxies = ["127.0.0.1"]    # where nginx runs; then: systemctl restart apex-rtm'
    if seen is None:
        return failure(f"the server does not list the connection: {listed.status} {listed.message}",
                       "systemctl status apex-rtm    # do several servers share this address?")  # fmt: skip
    if seen == _FORGED:
        return failure(
            f"a client that sends X-Forwarded-For: {_FORGED} is taken for {_FORGED}: limits by address are void",
            f"{name}    # in nginx: the address it sees, instead of what the client says",
            'trusted_proxies = ["127.0.0.1"]    # nothing wider than the proxy itself',
            _RELOAD,
        )
    if seen == mine:
        return ok(f"the client is known by its own address ({seen}), and a forged one is not believed")
    if _is_inner(seen):
        return failure(
            f"this client ({mine}) is taken for {seen}: with the proxy's address for everybody, one client uses up "
            "max_connections_per_ip for all", name, trust, _RELOAD,
        )  # fmt: skip
    return ok(f"the client is known as {seen} (this machine is {mine}), and a forged address is not believed")


def _is_inner(ip: str) -> bool:
    """Tell whether an address is none of the internet's: a proxy's, or none at all for a socket in a file."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return True
    return address.is_loopback or address.is_private


def _body(patient: Patient) -> Outcome:
    """Announce a body of the size that the server takes, and see whether somebody refuses before it is sent."""
    size = patient.known.max_body_bytes
    try:
        status, text = _announce(patient, size)
    except OSError as error:
        return failure(f"the connection failed: {error}", "tail /var/log/nginx/error.log")
    if status == 413 and '"ok"' not in text:
        megabytes = -(-size // 1_048_576)
        return failure(
            f"a body of {size} bytes (max_body_bytes) is refused with 413 before the server sees it: "
            "batches and large messages of the database fail",
            f"client_max_body_size {megabytes}m;    # in the server block of nginx; then: {_RELOAD}",
        )
    if status == 413:
        return failure(
            f"the server takes less than the {size} bytes of this configuration: {text[-200:]}",
            "systemctl restart apex-rtm    # it was started with another max_body_bytes",
        )
    return ok(f"a body of {size} bytes is let through")


def _announce(patient: Patient, size: int) -> tuple[int, str]:
    """Send headers only, with Expect: 100-continue; return the status (0: nobody minds) and what came with it."""
    parts = urlsplit(patient.base_url)
    lines = [
        f"POST {parts.path}/api/broadcast HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: application/json",
        f"Content-Length: {size}", "Expect: 100-continue",
    ]  # fmt: skip
    if patient.api_key is not None:
        lines.append(f"X-API-Key: {patient.api_key}")
    plain = socket.create_connection((patient.host, patient.port), timeout=5)
    context = patient.context()
    with context.wrap_socket(plain, server_hostname=patient.host) if parts.scheme == "https" else plain as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        connection.settimeout(3)
        try:
            text = connection.recv(4096).decode("latin-1")
        except TimeoutError:
            return 0, ""  # it waits for the body, so it has nothing against it
        text += _rest(connection) if " 413 " in text[:16] else ""
    words = text.split(maxsplit=2)
    return (int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0), text


def _rest(connection: socket.socket) -> str:
    """What follows the first part of an answer: who refuses stands in its body, which may come on its own."""
    found = b""
    with contextlib.suppress(OSError):
        while len(found) < 4096 and b'"ok"' not in found and (part := connection.recv(4096)):
            found += part
    return found.decode("latin-1")


_NEEDS: Final = ("config.loads", "tls.reachable")
_TRUSTED: Final = ("tls.chain", "tls.name", "tls.expiry")  # keys and tokens are sent
_UP: Final = "proxy.upgrade"
CHECKS: Final = (
    Check(_UP, "WebSockets get through", _upgrade, _NEEDS),
    Check("proxy.idle", "Quiet connections are not cut", _idle, _TRUSTED, _UP, timeout_s=900, in_background=True),
    Check("proxy.client_ip", "Clients are known by their own address", _client_ip, _TRUSTED, _UP),
    Check("proxy.body", "Large bodies get through", _body, _TRUSTED, _UP),
)
