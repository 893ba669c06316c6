"""The settings themselves: do they load, are the secrets any good, who can read them, do they fit this machine."""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
import stat
import tomllib
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from apex_rtm.doctor.check import Check, Outcome, counted, failure, ok, skipped, warning
from apex_rtm.doctor.foreign import word
from apex_rtm.doctor.patient import Patient
from apex_rtm.doctor.process import descriptor_limit, listener_on
from apex_rtm.settings import Settings, is_loopback

NO_SUCH_SETTING: Final = "there is no such setting"
_FEW_CONNECTIONS: Final = 1000
_RESERVED_FILES: Final = 128  # as the server reserves them
_SECRET_BITS: Final = 128.0
_KEY_BITS: Final = 80.0
# Words of documentation, tutorials and tests. A random secret holds none of them.
# Each in one case: random text is letters only now and then, but never in that order of capitals.
_WORDS: Final = re.compile(r"(?:[a-z]+|[A-Z]+|[A-Z][a-z]+)(?:[-_ .](?:[a-z]+|[A-Z]+|[A-Z][a-z]+))+")
_EXAMPLE_WORDS: Final = re.compile(
    r"secret|example|change|(?:\b|_)(?:your|test)(?:\b|_)|password|sample|dummy|default|foobar|123456|abcdefg|qwert|[<>…\s]|\.\.\.",
    re.IGNORECASE,
)
_SECRET_NAMES: Final = {
    "api_keys", "jwt_secret", "console_key", "metrics_key",
    "redis_password", "oracle_password", "oracle_wallet_password",
}  # fmt: skip
# Not appended to the file by a command: behind [[namespaces]] they would be members of that table.
SECURE: Final = (
    'apex-rtm secret    # one for api_keys = ["…"], above every [[…]] in the TOML file of the server',
    'apex-rtm secret    # another for jwt_secret = "…", in the line below; then: systemctl restart apex-rtm',
)
# Of a doctor that was started without the file of the server. Nothing is wrong with the server then.
KEYLESS: Final = "the server is in secured mode and this configuration names no keys"
WITH_FILE: Final = "apex-rtm doctor --config /etc/apex-rtm/apex-rtm.toml    # the file of the server, wherever it is"
_WIDE_PREFIX: Final = {4: 8, 6: 32}  # a network wider than this is no proxy, it is a continent


def _loads(patient: Patient) -> Outcome:
    others = [text for text in patient.problems if NO_SUCH_SETTING not in text]
    if others:
        where = patient.config_file or "the variables APEX_RTM_…"
        unread = _unread(patient.config_file)
        if unread:
            return failure(" · ".join(others), *unread)
        return failure(" · ".join(others), f"apex-rtm check-config    # after changing {where}")
    if patient.settings is None:
        return failure("the settings do not load", "apex-rtm check-config")
    mode = "open" if patient.settings.is_open else "secured"
    return ok(f"{patient.config_file or 'no file'}, {mode} mode")


def _unread(file: Path | None) -> tuple[str, ...]:
    """What helps where the file itself cannot be read; nothing where it can."""
    if file is None:
        return ()
    try:
        file.open("rb").close()
    except FileNotFoundError:
        return (
            f"ls -l {word(str(file.parent))}    # is it there under another name?",
            f"apex-rtm deploy config --domain NAME --output {word(str(file))}    # or write one, with fresh secrets",
        )
    except PermissionError:
        return (f"sudo apex-rtm doctor --config {word(str(file))}    # only its owner may read it",)
    except OSError:
        return (f"ls -ld {word(str(file))}    # it must be a file",)
    return ()


def _names(patient: Patient) -> Outcome:
    unknown = [text.split(f": {NO_SUCH_SETTING}")[0] for text in patient.problems if NO_SUCH_SETTING in text]
    if not unknown:
        return ok("every setting is known")
    remedies = []
    for place in unknown:
        name = place.rsplit(" ", 1)[-1].lower().removeprefix("apex_rtm_").split(".")[0]
        like = difflib.get_close_matches(name, Settings.model_fields, 1, 0.6)
        remedies.append(f"{place}: " + (f"you may mean {like[0]}" if like else "remove it, see docs/settings.md"))
    return failure(f"unknown: {', '.join(unknown)}; the server would not start", *remedies)


def _mode(patient: Patient) -> Outcome:
    settings = patient.known
    if not settings.is_open:
        return ok("secured: publishing needs a key, listening a token")
    if patient.is_public or patient.under_systemd:
        why = f"with the public address {patient.url}" if patient.is_public else "under systemd"
        return failure(
            f"open mode {why}: it answers loopback only, so nothing will come through",
            *([WITH_FILE] if patient.config_file is None else []),
            *SECURE,
        )
    return ok("open: for one developer on this machine, nothing else gets in")


def _exposure(patient: Patient) -> Outcome:
    settings = patient.known
    if is_loopback(settings.host) or settings.tls_cert:
        return ok(f"listens on {settings.host}")
    return warning(
        f"listens on {settings.host} without TLS: whoever reaches the port directly sends keys and tokens in clear",
        'host = "127.0.0.1"    # behind nginx on the same machine',
        f"firewall-cmd --permanent --remove-port={settings.port}/tcp && firewall-cmd --reload    # else: nginx only",
    )


def strength_bits(secret: str) -> float:
    """A generous bound of what an attacker must guess: characters times bits of the alphabet that is used."""
    return len(secret) * math.log2(max(len(set(secret)), 1))


def weakness(secret: str, least_bits: float) -> str | None:
    """Say what is wrong with a secret, without repeating it."""
    if _EXAMPLE_WORDS.search(secret):
        return "looks like an example from a page, not like a random text"
    if _WORDS.fullmatch(secret):
        return "is made of words, which are guessed"
    bits = strength_bits(secret)
    return f"has at most {bits:.0f} bits, {least_bits:.0f} are needed" if bits < least_bits else None


def _secrets(patient: Patient) -> Outcome:
    settings = patient.known
    if settings.jwt_secret is None:
        return skipped("open mode has no secrets")
    jwt_secret = settings.jwt_secret.get_secret_value()
    found = [
        (f"api_keys, no. {n}", weakness(key.get_secret_value(), _KEY_BITS))
        for n, key in enumerate(settings.api_keys, 1)
    ]
    found.append(("jwt_secret", weakness(jwt_secret, _SECRET_BITS)))
    for name in ("console_key", "metrics_key"):
        own: SecretStr | None = getattr(settings, name)
        if own is not None:
            found.append((name, weakness(own.get_secret_value(), _KEY_BITS)))
    if any(key.get_secret_value() == jwt_secret for key in settings.api_keys):
        found.append(("api_keys", "is the jwt_secret too: whoever may publish could sign tokens for anybody"))
    faults = [f"{name} {fault}" for name, fault in found if fault]
    if not faults:
        return ok(f"{counted(len(settings.api_keys), 'API key')} and the token secret are long and random")
    return failure(
        "; ".join(faults),
        "openssl rand -hex 32    # a new one for each, into the configuration of the server",
        "begin rtm_config_api.set_value('api_key', '<new key>'); "
        "rtm_config_api.set_value('token_secret', '<new secret>'); commit; end;",
    )


def _holds_secrets(path: Path) -> bool:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True  # better to ask for too much
    return bool(_SECRET_NAMES & set(values)) or "@" in str(values.get("engine", ""))


def _files(patient: Patient) -> Outcome:
    settings = patient.known
    secret = [path for path in (settings.oracle_password_file, settings.tls_key) if path is not None]
    plain: list[Path] = []
    if patient.config_file is not None:
        (secret if _holds_secrets(patient.config_file) else plain).append(patient.config_file)
    if not secret and not plain:
        return skipped("no files: everything comes from variables")
    faults, remedies = [], []
    for path in [*secret, *plain]:
        try:
            mode, around = path.stat().st_mode, path.parent.stat().st_mode
        except OSError as error:
            faults.append(f"{path}: {error.strerror}")
            remedies.append(f"ls -ld {path.parent} {path}")
            continue
        forbidden = 0o007 if path in secret else 0o002
        # Nobody gets to a file in a directory that may not be entered, whatever its own mode says.
        if around & 0o001 and mode & (forbidden | stat.S_IWGRP):
            faults.append(f"{path} has mode {stat.S_IMODE(mode):04o}, so others can {_may(mode, forbidden)} it")
            remedies.append(f"chmod {'640' if path in secret else '644'} {path}")
    return (
        failure("; ".join(faults), *remedies)
        if faults
        else ok(f"{counted(len(secret) + len(plain), 'file')}, closed to others")
    )


def _may(mode: int, forbidden: int) -> str:
    return "change" if mode & 0o022 else "read" if mode & forbidden & 0o004 else "use"


def _descriptors(patient: Patient) -> Outcome:
    if patient.is_remote:
        return skipped("the server is on another machine")
    settings = patient.known
    process = listener_on(settings.port)
    limit = descriptor_limit(process)
    whose = f"process {process.pid} ({process.name})" if process is not None else "this shell"
    free = limit - min(_RESERVED_FILES, limit // 4)
    possible = free - min(settings.max_http_connections, free // 2)
    remedy = (
        "systemctl edit apex-rtm    # add: [Service], and below it: LimitNOFILE=65536",
        "systemctl restart apex-rtm",
    )
    seen = f"{limit} descriptors of {whose} are {possible} WebSockets"
    if settings.max_connections > possible:
        return failure(f"{seen}, but max_connections is {settings.max_connections}", *remedy)
    if settings.max_connections == 0 and possible < _FEW_CONNECTIONS:
        return warning(f"{seen}: little for a server", *remedy)
    return ok(seen)


def _proxies(patient: Patient) -> Outcome:
    trusted = patient.known.trusted_proxies
    wide = [text for text in trusted if _is_wide(text)]
    if wide:
        return failure(
            f"trusted_proxies has {', '.join(wide)}: any client there may claim any address in X-Forwarded-For",
            'trusted_proxies = ["127.0.0.1"]    # the address from which nginx connects, nothing wider',
        )
    return ok(", ".join(trusted) or "none: the address of the peer counts")


def _is_wide(text: str) -> bool:
    network = ipaddress.ip_network(text, strict=False)
    return network.prefixlen < _WIDE_PREFIX[network.version]


CHECKS: Final = (
    Check("config.names", "Every setting is one that the server knows", _names),
    Check("config.loads", "The configuration loads", _loads, needs=("config.names",)),
    Check("config.mode", "A server for others is in secured mode", _mode, needs=("config.loads",)),
    Check("config.exposure", "Nobody outside reaches the port without TLS", _exposure, needs=("config.loads",)),
    Check("config.secrets", "Keys and token secret are random", _secrets, needs=("config.loads",)),
    Check("config.files", "Files with secrets are closed to others", _files, needs=("config.loads",)),
    Check(
        "config.descriptors", "The system allows as many sockets as are wanted", _descriptors, needs=("config.loads",)
    ),
    Check("config.proxies", "Only proxies may speak for clients", _proxies, needs=("config.loads",)),
)
