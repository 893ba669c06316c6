"""The certificate of the public address, seen as a browser and as UTL_HTTP see it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from apex_rtm.deploy.render import WEBROOT
from apex_rtm.doctor.check import Check, Outcome, failure, ok, skipped, warning
from apex_rtm.doctor.foreign import word
from apex_rtm.doctor.handshake import Certificate, speaks
from apex_rtm.doctor.patient import Patient
from apex_rtm.settings import is_loopback

_DAY_S: Final = 86_400
_WARN_DAYS: Final = 14  # certbot renews when 30 are left: with 14 it has failed for two weeks
_RELOAD: Final = "nginx -t && systemctl reload nginx"
_SELF_SIGNED: Final = (18, 19)
_ISSUER_MISSING: Final = (2, 20, 21)


def _reload(patient: Patient) -> str:
    """What makes the one who does TLS, nginx or the server itself, read its certificate again."""
    return "systemctl reload apex-rtm" if _is_own(patient) else _RELOAD


def _is_own(patient: Patient) -> bool:
    return patient.settings is not None and patient.settings.tls_cert is not None


def _certificate(patient: Patient) -> str:
    """The line of docs/deploy.md: certbot's own edits would not be those of `apex-rtm deploy nginx`."""
    way = "--standalone" if _is_own(patient) else f"--webroot --webroot-path {WEBROOT}"
    service = "apex-rtm" if _is_own(patient) else "nginx"
    return f'certbot certonly {way} --domain {word(patient.host)} --deploy-hook "systemctl reload {service}"'


def _certificate_line(patient: Patient, path: str) -> str:
    line = f'tls_cert = "{path}"' if _is_own(patient) else f"ssl_certificate {path};"
    return f"{line}    # not cert.pem; then: {_reload(patient)}"


def _reachable(patient: Patient) -> Outcome:
    if patient.url is None:
        return skipped("no public address was given", "apex-rtm doctor --url wss://rtm.example.com")
    if patient.url.startswith("http://"):
        if is_loopback(patient.host):
            return skipped(f"{patient.url} has no TLS and needs none on this machine")
        return failure(
            f"{patient.url} is plain http: keys and tokens cross the network in clear",
            _certificate(patient),
            f"apex-rtm deploy nginx --domain {word(patient.host)}    # the site with TLS; then give wss://{patient.host}",
        )
    try:
        found = patient.handshake
    except ssl.SSLError as error:
        return failure(
            f"{patient.host}:{patient.port} does not speak TLS: {error.reason or error}",
            f"listen {patient.port} ssl;    # in the server block of nginx; then: {_RELOAD}",
        )
    except OSError as error:
        return failure(
            f"{patient.host}:{patient.port} cannot be reached: {error.strerror or error}",
            f"getent hosts {patient.host}    # is the name known, and is it this machine's address?",
            f"firewall-cmd --permanent --add-service=https && firewall-cmd --reload    # port {patient.port}",
            "the cloud's security list needs an ingress rule for the port too",
        )
    return ok(f"{found.version} with {patient.host}:{patient.port}")


def _chain(patient: Patient) -> Outcome:
    found = patient.handshake
    leaf = found.presented[0]
    if found.fault is None:
        gaps = [n for n, pair in enumerate(zip(found.presented, found.presented[1:], strict=False)) if _gap(*pair)]
        names = " → ".join(_common(one) for one in (*found.trusted[:-1], found.trusted[-1]))
        if gaps:
            return warning(
                f"the certificates come in the wrong order ({' → '.join(_common(one) for one in found.presented)}): "
                "browsers sort them, Oracle may not",
                "cat server.pem intermediate.pem > fullchain.pem    # leaf first, then each one's issuer",
                _certificate_line(patient, "/etc/ssl/fullchain.pem"),
            )
        return ok(f"complete: {names}")
    number, words = found.fault
    if leaf.is_self_signed or (number in _SELF_SIGNED and len(found.presented) == 1):
        return failure(
            f"{_common(leaf)} is self-signed: no browser trusts it",
            _certificate(patient),
            "apex-rtm doctor --ca-file certificate.pem    # where that is intended and every client has it",
        )
    last = found.presented[-1]
    if number in _SELF_SIGNED or last.is_self_signed:
        return failure(
            f"the chain ends at {last.subject}, which this machine does not trust",
            "apex-rtm doctor --ca-file root.pem    # a private authority: every browser and the wallet need its root",
        )
    if number not in _ISSUER_MISSING:
        return failure(
            f"the chain is refused: {words} (OpenSSL's number {number})",
            f"openssl s_client -connect {patient.host}:{patient.port} -servername {patient.host} -showcerts </dev/null",
        )
    # Nobody vouches for this certificate yet: the address in it may be a command.
    urls = [word(url) for url in last.issuer_urls if url.startswith(("http://", "https://"))]
    fetch = [f"curl -s {url} | openssl x509 -inform der >> chain.pem" for url in urls[:1]]
    return failure(
        f"{len(found.presented)} certificate(s) presented, and the issuer of the last, {last.issuer}, is missing "
        f"({words}): browsers may have it in store, UTL_HTTP fails with ORA-29024",
        _certificate_line(patient, f"/etc/letsencrypt/live/{patient.host}/fullchain.pem"),
        *fetch,
        "apex-rtm doctor --ca-file root.pem    # if it is complete and the authority is your own",
    )


def _gap(one: Certificate, following: Certificate) -> bool:
    return one.issuer != following.subject


def _common(one: Certificate) -> str:
    return one.subject.split(",")[0].removeprefix("CN=")


def _name(patient: Patient) -> Outcome:
    found = patient.handshake
    leaf = found.presented[0]
    if leaf.is_for(patient.host):
        return ok(f"made for {', '.join(leaf.names[:5])}")
    return failure(
        f"made for {', '.join(leaf.names[:5]) or _common(leaf)} and not for {patient.host}: "
        "browsers refuse it, UTL_HTTP fails with ORA-24263",
        _certificate(patient),
        f"server_name {patient.host};    # nginx sends the certificate of the server block with this name",
    )


def _expiry(patient: Patient) -> Outcome:
    found = patient.handshake
    now = patient.clock.now()
    renew = (
        f"certbot renew && {_reload(patient)}",
        "systemctl list-timers 'certbot*' 'snap.certbot*'    # does it run by itself?",
    )
    for one in found.presented:
        if now < one.not_before:
            return failure(
                f"{_common(one)} is valid from {_day(one.not_before)} on only: is this machine's clock right?",
                "timedatectl set-ntp true",
            )
    first = min(found.presented, key=lambda one: one.not_after)
    days = (first.not_after - now) / _DAY_S
    if days < 0:
        return failure(f"{_common(first)} expired on {_day(first.not_after)}", *renew)
    if days < _WARN_DAYS:
        return warning(f"{_common(first)} expires in {days:.0f} days, on {_day(first.not_after)}", *renew)
    return ok(f"{days:.0f} days left, until {_day(first.not_after)}")


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _version(patient: Patient) -> Outcome:
    versions = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2,
                "1.3": ssl.TLSVersion.TLSv1_3}  # fmt: skip
    spoken = [name for name, version in versions.items() if speaks(patient.host, patient.port, version, timeout_s=5)]
    remedy = f"ssl_protocols TLSv1.2 TLSv1.3;    # in nginx; then: {_RELOAD}"
    if "1.2" not in spoken:
        return failure(
            f"speaks TLS {', '.join(spoken)} only: databases before 23ai know nothing above 1.2 (ORA-28860)", remedy
        )
    old = [name for name in spoken if name in ("1.0", "1.1")]
    if old:
        return warning(f"still speaks TLS {' and '.join(old)}, which RFC 8996 forbids", remedy)
    return ok(f"TLS {' and '.join(spoken)}")


def _wallet(patient: Patient) -> Outcome:
    found = patient.handshake
    root, last = found.trusted[-1], found.presented[-1]
    saved = ""
    if patient.root_file is not None:
        _save(patient.root_file, root)
        saved = f", saved to {patient.root_file}"
    name = patient.root_file or "root.pem"
    lines = (
        f"orapki wallet add -wallet /opt/oracle/wallets/rtm -trusted_cert -cert {name}    # on the database's machine",
        "begin rtm_config_api.set_value('wallet_path', 'file:/opt/oracle/wallets/rtm'); commit; end;",
    )
    if not last.is_self_signed and last.issuer != root.subject:
        return warning(
            f"the chain that is sent goes on to {last.issuer}, while this machine stops at {root.subject}: the "
            f"database may want the other root in its wallet as well{saved}", *lines,
        )  # fmt: skip
    saw = f"into the wallet goes the root {root.subject}, SHA-256 {root.fingerprint[:16]}…{saved}"
    return ok(saw if saved else f"{saw}; --save-root root.pem writes it")


def _save(path: Path, root: Certificate) -> None:
    path.write_text(root.pem, encoding="ascii")


_TLS: Final = "tls.reachable"
CHECKS: Final = (
    Check(_TLS, "The public address speaks TLS", _reachable, timeout_s=25),
    Check("tls.chain", "The whole chain is sent", _chain, only_if=_TLS),
    Check("tls.name", "The certificate is for this name", _name, only_if=_TLS),
    Check("tls.expiry", "No certificate has expired or is about to", _expiry, only_if=_TLS),
    Check("tls.version", "Old databases and no older clients get in", _version, only_if=_TLS, timeout_s=25),
    Check("tls.wallet", "Which certificate the database's wallet needs", _wallet, ("tls.chain",), _TLS),
)
