"""What the commands have in common: options made from settings, exit codes, and failing in words.

Exit codes: 0 done · 1 the server or the database refused or failed · 2 wrong usage or configuration · 3 not reachable.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from apex_rtm.credential import check_credential, read_credential
from apex_rtm.errors import ConfigurationError
from apex_rtm.oracle_settings import OracleSettings
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
_TOML_ONLY: Final = ("namespaces",)
# Variables of the client commands share the prefix; they are not settings of the server.
_CLIENT_ONLY: Final = ("URL", "API_KEY", "TOKEN")

config_option: Final = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    envvar=f"{PREFIX}CONFIG",
    help="TOML file with settings.",
)
url_option: Final = click.option(
    "--url", default="http://127.0.0.1:3000", envvar=f"{PREFIX}URL", show_default=True, help="The server."
)
key_option: Final = click.option(
    "--key-file",
    type=click.Path(exists=True, path_type=Path),
    help=f"File with the API key; or set {PREFIX}API_KEY.",
)


def settings_options(names: Iterable[str] | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command one option for each of these settings, from the same descriptions as docs/settings.md.

    Without names: all of them, the server's own first.
    """
    own = [name for name in Settings.model_fields if name not in OracleSettings.model_fields]
    wanted = [*own, *OracleSettings.model_fields] if names is None else list(names)

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(wanted):
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
        return click.option(*flags, name, default=None, help=text, is_flag=True)
    return click.option(*flags, name, default=None, help=text, type=str)


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


def fail(code: int, text: str) -> NoReturn:
    """End with one sentence."""
    click.echo(text, err=True)
    sys.exit(code)
