"""May the database call the server: address, key, network ACL, wallet."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from apex_rtm.database.sqlplus import DatabaseError
from apex_rtm.doctor.check import Check, Outcome, failure, ok, skipped, warning
from apex_rtm.doctor.oracle_errors import remedies
from apex_rtm.doctor.patient import Patient
from apex_rtm.doctor.schema import asked, owner, stored
from apex_rtm.doctor.statements import ACES, CLOUD, WHO

_PRIVILEGES: Final = ("HTTP",)
_SYSTEM_RELEASE: Final = "system:"


def calls_nobody(values: dict[str, str]) -> bool:
    """Tell whether a relay fetches the messages, so that the database needs no way out."""
    return values.get("drain_by", "JOB") == "RELAY"


@asked
def _settings(patient: Patient) -> Outcome:
    values = stored(patient)
    faults, lines = [], []
    if not calls_nobody(values):
        if "base_url" not in values:
            faults.append("base_url is not set, so nothing is sent")
            lines.append(_set("base_url", patient.url or "https://rtm.example.com"))
        if "api_key" not in values:
            faults.append("api_key is not set, so the server answers 401")
            lines.append(_set("api_key", "<one of the server''s api_keys>"))
    if "token_secret" not in values:
        faults.append("token_secret is not set, so no page gets a token (ORA-20730)")
        lines.append(_set("token_secret", "<the server''s jwt_secret>"))
    if faults:
        return failure("; ".join(faults), *lines)
    there = values.get("base_url")
    if there and patient.is_public and not calls_nobody(values) and _place(there) != _place(patient.base_url):
        return warning(
            f"base_url is {there}, the pages use {patient.base_url}: are both the same server?",
            _set("base_url", patient.base_url),
        )
    return ok(f"base_url {there or 'not needed'}, key and secret are set, drained by {values.get('drain_by', 'JOB')}")


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return (parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))


def _set(name: str, value: str) -> str:
    return f"begin rtm_config_api.set_value('{name}', '{value}'); commit; end;"


@asked
def _acl(patient: Patient) -> Outcome:
    values = stored(patient)
    base_url = values.get("base_url")
    if calls_nobody(values) or base_url is None:
        return skipped("a relay fetches the messages" if calls_nobody(values) else "base_url is not set")
    user, schema = (str(name) for name in patient.database.execute(WHO).rows[0])
    if user != schema:
        return skipped(f"the entries of {schema} are shown to {schema} only", f"apex-rtm doctor --oracle-user {schema}")
    host, port = _place(base_url)
    rows = [_Ace(*row) for row in patient.database.execute(ACES).rows]
    fitting = sorted((ace for ace in rows if ace.is_for(host, port)), key=lambda ace: ace.precision, reverse=True)
    if fitting and fitting[0].status == "GRANTED":
        return ok(f"{schema} may call {host}:{port} (entry for {fitting[0].host})")
    what = "is denied" if fitting else "has no entry that lets it call"
    return failure(
        f"{schema} {what} {host}:{port} (ORA-24247)", *remedies("ORA-24247", schema=schema, base_url=base_url)
    )


class _Ace:
    """A row of USER_HOST_ACES. A host is a name, an address, *, or ends in a wildcard on the side of its network."""

    def __init__(self, host: object, lower: object, upper: object, privilege: object, status: object) -> None:
        self.host = str(host).lower()
        self.status = str(status).upper()
        self._privilege = str(privilege).upper()
        self._ports = None if lower is None else (int(str(lower)), int(str(upper if upper is not None else lower)))

    @property
    def precision(self) -> tuple[int, int]:
        """The entry for the narrower host, then for the narrower ports, decides."""
        return (0 if self.host == "*" else 1000 - self.host.startswith("*") + len(self.host), self._ports is not None)

    def is_for(self, host: str, port: int) -> bool:
        """Tell whether it speaks of this host and port, and of calls by HTTP."""
        if self._privilege not in _PRIVILEGES:
            return False
        if self._ports is not None and not self._ports[0] <= port <= self._ports[1]:
            return False
        if self.host.startswith("*."):
            return host.endswith(self.host[1:])
        if self.host.endswith(".*"):
            return host.startswith(self.host[:-1])
        return self.host in ("*", host)


@asked
def _wallet(patient: Patient) -> Outcome:
    values = stored(patient)
    base_url = values.get("base_url", "")
    if calls_nobody(values) or not base_url.startswith("https://"):
        return skipped("no https call leaves the database")
    wallet = values.get("wallet_path")
    cloud = _cloud(patient)
    lines = remedies("ORA-28759", schema=owner(patient), base_url=base_url)
    if wallet is None and cloud is None:
        return failure(f"{base_url} needs a wallet, and wallet_path is not set (ORA-29024)", *lines)
    if wallet is not None and not wallet.startswith(("file:", _SYSTEM_RELEASE)):
        return failure(f"wallet_path is {wallet}, it must begin with file: or system:", *lines)
    return ok(wallet or f"the one of Autonomous Database ({cloud})")


def _cloud(patient: Patient) -> str | None:
    try:
        value = patient.database.execute(CLOUD).rows[0][0]
    except DatabaseError:
        return None
    return None if value is None else str(value)


_DB: Final = "db.login"
CHECKS: Final = (
    Check("db.settings", "The database knows server, key and secret", _settings, ("db.objects",), _DB, timeout_s=40),
    Check("db.acl", "The network ACL lets the schema call the server", _acl, ("db.objects",), _DB, timeout_s=40),
    Check("db.wallet", "Calls by https have a wallet", _wallet, ("db.objects",), _DB, timeout_s=40),
)
