"""What mends the errors that calls out of the database end with; the numbers are explained in docs/oracle.md."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_CODES: Final = re.compile(r"ORA-(\d{5})")
_HOST: Final = re.compile(r"[\w.:-]+", re.ASCII)

_ACE: Final = (
    "begin",
    "  dbms_network_acl_admin.append_host_ace(",
    "    host => '{host}', lower_port => {port}, upper_port => {port},",
    "    ace  => xs$ace_type(privilege_list => xs$name_list('http'), principal_name => '{schema}',",
    "                        principal_type => xs_acl.ptype_db));",
    "end;",
    "/",
    "-- as a DBA; or: @db/00_grants_and_acl.sql {schema} {host} {port}",
)
_WALLET: Final = (
    "begin rtm_config_api.set_value('wallet_path', 'system:'); commit; end;    -- 23ai, recent updates of 19c",
    "orapki wallet create -wallet /opt/oracle/wallets/rtm -auto_login    # else, on the database's machine",
    "orapki wallet add -wallet /opt/oracle/wallets/rtm -trusted_cert -cert root.pem    # root: see tls.wallet",
    "begin rtm_config_api.set_value('wallet_path', 'file:/opt/oracle/wallets/rtm'); commit; end;",
)
_CHAIN: Final = (
    *_WALLET,
    "apex-rtm doctor --url wss://{host} --only tls    # is the chain that the server sends complete?",
)
_REACH: Final = (
    "curl -sv https://{host}:{port}/    # on the database's machine: name, route, firewall",
    "select value from rtm_settings where name = 'base_url';",
)
_KEY: Final = ("begin rtm_config_api.set_value('api_key', '<one of the server''s api_keys>'); commit; end;",)
_NOT_SET: Final = (
    "begin rtm_config_api.set_value('base_url', 'https://{host}'); commit; end;    -- where the server is",
)
_REMEDIES: Final[dict[str, tuple[str, ...]]] = {
    "24247": _ACE, "20711": _ACE,
    "29024": _CHAIN, "20712": _CHAIN,
    "24263": ("apex-rtm doctor --url wss://{host} --only tls.name    # the certificate is for another name",),
    "28860": ("apex-rtm doctor --url wss://{host} --only tls.version    # no common version of TLS",),
    "28862": ("apex-rtm doctor --url wss://{host} --only tls.version    # no common version of TLS",),
    "28759": _WALLET, "28768": _WALLET, "29248": _WALLET, "20713": _WALLET,
    "12541": _REACH, "12545": _REACH, "12543": _REACH, "29259": _REACH, "20715": _REACH,
    "12535": _REACH, "12170": _REACH, "29276": _REACH, "20714": _REACH,
    "20707": ("begin rtm_config_api.set_value('allow_http', 'Y'); commit; end;    -- only inside a closed network",),
    "20710": _NOT_SET,
    "20716": (
        "begin rtm_config_api.set_value('transport', 'UTL_HTTP'); commit; end;",
        "@db/install.sql    -- or repair the JavaScript, with CREATE MLE granted",
    ),
    "20720": _KEY, "20730": (
        "begin rtm_config_api.set_value('token_secret', '<the server''s jwt_secret>'); commit; end;",
    ),
    "20724": ("systemctl status apex-rtm nginx",),
    "20725": ("journalctl -u apex-rtm -n 50",),
    "20726": ("select value from rtm_settings where name = 'base_url';    -- something else answers there",),
    "04068": ("apex-rtm doctor    # again: the packages were replaced while the session was open",),
    "06550": ("@db/install.sql    -- as the owner of the schema",),
    "04161": ("select object_name, status from user_objects where object_name like 'WEBSOCKET%';",),
    "01017": ("alter user {schema} identified by \"...\";    -- as a DBA, and into oracle_password_file",),
    "28000": ("alter user {schema} account unlock;    -- as a DBA",),
    "28001": ("alter user {schema} identified by \"...\";    -- as a DBA: the password has expired",),
    "12514": ("lsnrctl status    # on the database's machine: which services does it know?",),
    "01045": ("grant create session to {schema};    -- as a DBA",),
}  # fmt: skip
_UNKNOWN: Final = ("select created_at, source, error from rtm_log where status = 'FAILED' order by created_at desc;",)


def remedies(error: str, *, schema: str, base_url: str | None) -> tuple[str, ...]:
    """The lines that mend an error, by the innermost number that is known.

    The innermost counts: UTL_HTTP wraps its cause in ORA-29273, and the packages in one of their own numbers.
    """
    parts = urlsplit(base_url or "https://rtm.example.com")
    port = parts.port or (80 if parts.scheme == "http" else 443)
    known = [code for code in reversed(_CODES.findall(error)) if code in _REMEDIES]
    lines = _REMEDIES[known[0]] if known else _UNKNOWN
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):  # what stands in the database could be a command where this is pasted
        host = "NAME"
    return tuple(
        line.replace("{host}", host).replace("{port}", str(port)).replace("{schema}", schema.upper()) for line in lines
    )
