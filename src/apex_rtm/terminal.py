"""What the commands have in common: options made from settings, exit codes, and failing in words.

Exit codes: 0 done · 1 the server or the database refused or failed · 2 wrong usage or configuration · 3 not reachable.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, get_args, get_origin
from urllib.parse import urlsplit, urlunsplit

import click

from apex_rtm.credential import check_credential, read_credential
from apex_rtm.errors import ConfigurationError
from apex_rtm.oracle_settings import OracleSettings
from apex_rtm.redis_settings import RedisSettings
from apex_rtm.settings import PREFIX, Settings, load_settings
from apex_rtm.tail import Reached, Unreachable

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
# Never flags: every user of the machine can read a command line.
_SECRET_SETTINGS: Final = (
    "api_keys", "jwt_secret", "console_key", "metrics_key", "oracle_password", "oracle_wallet_password",
    "redis_password",
)  # fmt: skip
# What most people set stands first in the help.
_FIRST: Final = ("host", "port", "engine", "data_dir")
_TOML_ONLY: Final = ("namespaces",)
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?(/[A-Za-z0-9._/-]*)?")
# Variables of the client commands share the prefix; they are not settings of the server.
_CLIENT_ONLY: Final = ("URL", "API_KEY", "TOKEN")

config_option: Final = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    envvar=f"{PREFIX}CONFIG",
    help="TOML file with settings.",
)


def fail(code: int, text: str) -> NoReturn:
    """End with one sentence."""
    click.echo(text, err=True)
    sys.exit(code)


def _server_url(_context: click.Context, _option: click.Parameter, url: str) -> str:
    """Take the address of a server as http or https, or end. It is not repeated where it may hold a password."""
    try:
        parts = urlsplit(url)
        has_port = parts.port != 0
    except ValueError:
        fail(EXIT_USAGE, "--url: it is no address; write http://localhost:3000 or https://rtm.example.com")
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    if "@" in parts.netloc or parts.query or parts.fragment:
        fail(EXIT_USAGE, "--url: host, port and path only, as in https://rtm.example.com")
    if scheme not in ("http", "https") or not parts.hostname or not has_port or not url.isascii():
        # localhost:3000 reads as a scheme and a path, and is what most people type first.
        plain = url.rpartition("://")[2].strip("/")
        like = plain if _HOST.fullmatch(plain) else "localhost:3000"
        fail(EXIT_USAGE, f"--url: write http://{like} (https:// where the server has TLS)")
    return urlunsplit((scheme, parts.netloc, parts.path, "", ""))


url_option: Final = click.option(
    "--url", default="http://127.0.0.1:3000", envvar=f"{PREFIX}URL", show_default=True, callback=_server_url,
    help=f"The server; or set {PREFIX}URL.",
)  # fmt: skip
key_option: Final = click.option(
    "--key-file",
    type=click.Path(exists=True, path_type=Path),
    help=f"File with the API key; or set {PREFIX}API_KEY.",
)


def settings_options(names: Iterable[str] | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command one option for each of these settings, from the same descriptions as docs/settings.md.

    Without names: all of them, the server's own first.
    """
    oracle, redis = OracleSettings.model_fields, RedisSettings.model_fields
    own = [name for name in Settings.model_fields if name not in (*oracle, *redis, *_FIRST)]
    shared = [name for name in redis if name not in _FIRST]
    wanted = [*_FIRST, *own, *shared, *oracle] if names is None else list(names)

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(wanted):
            if name in _SECRET_SETTINGS:
                command = _refusal(name)(command)
            if name not in _SECRET_SETTINGS and name not in _TOML_ONLY:
                command = _option(name)(command)
        return config_option(command)

    return add


def _option(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    field = Settings.model_fields[name]
    flags = [f"--{name.replace('_', '-')}"]
    if name == "oracle_dsn":
        flags.append("--dsn")
    text = f"{field.description}  [{PREFIX}{name.upper()}]"
    if field.annotation is bool:
        if field.default:  # one that is on can only be switched off
            flags[0] += f"/--no-{name.replace('_', '-')}"
        return click.option(*flags, name, default=None, help=text, is_flag=True)
    return click.option(*flags, name, default=None, help=text, type=str, metavar=_metavar(name, field.annotation))


def _metavar(name: str, kind: Any) -> str | None:
    """Name the kind of value in the help. Only there: the settings are checked together, so as to name every fault."""
    if get_origin(kind) is Literal:
        return f"[{'|'.join(get_args(kind))}]"
    if kind in (int, float):
        return "SECONDS" if name.endswith("_s") else "BYTES" if name.endswith("_bytes") else "NUMBER"
    return "PATH" if kind is Path or Path in get_args(kind) else None


def _refusal(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option that is not there: whoever tries it is told where the secret goes."""

    def refuse(_context: click.Context, _option: click.Parameter, given: str | None) -> None:
        if given is not None:
            variable = f"{PREFIX}{name.upper()}"
            fail(EXIT_USAGE, f"secrets are never flags, every user of the machine reads them: {variable} or {name} in "
                 "the TOML file")  # fmt: skip

    flag = f"--{name.replace('_', '-')}"
    return click.option(flag, name, hidden=True, expose_value=False, is_flag=False, flag_value="", callback=refuse)


def load(flags: dict[str, Any], config_file: Path | None) -> Settings:
    """Load the settings, or end with every problem in words."""
    client_only = {f"{PREFIX}{name}" for name in _CLIENT_ONLY}
    environ = {name: value for name, value in os.environ.items() if name not in client_only}
    try:
        return load_settings(flags, environ, config_file)
    except ConfigurationError as error:
        stop_for_configuration(error)


def read_key(key_file: Path | None) -> str | None:
    """The API key of a client command, or end when it is none."""
    return _read_credential(key_file, "--key-file", f"{PREFIX}API_KEY", "key")


def read_token(token_file: Path | None) -> str | None:
    """The token of a client command, or end when it is none."""
    return _read_credential(token_file, "--token-file", f"{PREFIX}TOKEN", "token")


def _read_credential(path: Path | None, option: str, variable: str, noun: str) -> str | None:
    try:
        if path is not None:
            return read_credential(path, option, noun)
        text = os.environ.get(variable, "").strip()
        if text:
            check_credential(text, variable, noun)
    except ConfigurationError as error:
        fail(EXIT_USAGE, str(error.problems[0]))
    return text or None


def reach(call: Callable[[], Reached]) -> Reached:
    """Do a call, or end because there is nobody."""
    try:
        return call()
    except Unreachable as error:
        fail(EXIT_UNREACHABLE, str(error))


def stop_for_configuration(error: ConfigurationError) -> NoReturn:
    """End with every problem of the configuration."""
    for problem in error.problems:
        click.echo(f"configuration: {problem}", err=True)
    sys.exit(EXIT_USAGE)
