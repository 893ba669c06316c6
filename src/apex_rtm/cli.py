"""The command `apex-rtm`: serve, publish, listen, token, check-config.

Exit codes: 0 done · 1 the server refused or failed · 2 wrong usage or configuration · 3 the server cannot be reached.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import click
import msgspec
import uvloop

from apex_rtm import __version__
from apex_rtm.app import serve as run_server
from apex_rtm.clock import SystemClock
from apex_rtm.errors import ConfigurationError, Refused
from apex_rtm.log import configure_logging
from apex_rtm.settings import PREFIX, Settings, load_settings
from apex_rtm.tail import Reached, Unreachable, post, tail
from apex_rtm.tokens import TokenVerifier

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
_SECRET_SETTINGS: Final = (
    "api_keys",
    "jwt_secret",
)  # never flags: every user of the machine can read a command line
_TOML_ONLY: Final = ("namespaces",)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="apex-rtm")
def main() -> None:
    r"""Real-time messages for Oracle APEX: takes JSON over HTTP, delivers it to the browsers that may see it.

    \b
    Example: start it, watch a channel, publish to it
      apex-rtm serve
      apex-rtm listen test
      apex-rtm publish test ping '{"value": "Hello"}'
    """


def _settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command one option for each setting, from the same descriptions as docs/settings.md."""
    for name, field in reversed(Settings.model_fields.items()):
        if name in _SECRET_SETTINGS or name in _TOML_ONLY:
            continue
        flag = f"--{name.replace('_', '-')}"
        is_switch = field.annotation is bool
        text = f"{field.description}  [{PREFIX}{name.upper()}]"
        option = click.option(
            flag, name, default=None, help=text, **({"is_flag": True} if is_switch else {"type": str})
        )
        command = option(command)
    config = click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        envvar=f"{PREFIX}CONFIG",
        help="TOML file with settings.",
    )
    return config(command)


@main.command()
@_settings_options
def serve(config_file: Path | None, **flags: Any) -> None:
    r"""Run the server.

    Keys and the token secret are read from APEX_RTM_API_KEYS and APEX_RTM_JWT_SECRET or the TOML file,
    never from the command line. Without them the server is in open mode, for one developer on one machine.

    \b
    Example:
      apex-rtm serve --port 3000
      APEX_RTM_API_KEYS=… APEX_RTM_JWT_SECRET=… apex-rtm serve --host 0.0.0.0 --allowed-origins https://apex.example.com
    """
    settings = _load(flags, config_file)
    configure_logging(settings.log_level, settings.log_format)

    def on_ready(base_url: str) -> None:
        page = f"{base_url}/demo" if settings.demo else base_url
        click.echo(f"apex-rtm {__version__} listens on {page} ({'open' if settings.is_open else 'secured'} mode)")

    try:
        uvloop.run(run_server(settings, on_ready))
    except ConfigurationError as error:
        _stop_for_configuration(error)
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


@main.command("check-config")
@_settings_options
@click.option("--json", "as_json", is_flag=True, help="Print the settings as JSON.")
def check_config(config_file: Path | None, as_json: bool, **flags: Any) -> None:
    r"""Check the configuration and print it; secrets are hidden. Every problem is named, not only the first.

    \b
    Example:
      apex-rtm check-config --config /etc/apex-rtm.toml
    """
    settings = _load(flags, config_file)
    values = settings.model_dump(mode="json")
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    for name, value in values.items():
        click.echo(f"{name} = {json.dumps(value)}")
    click.echo(f"The configuration is good ({'open' if settings.is_open else 'secured'} mode).", err=True)


_url = click.option(
    "--url", default="http://127.0.0.1:3000", envvar=f"{PREFIX}URL", show_default=True, help="The server."
)
_key = click.option(
    "--key-file",
    type=click.Path(exists=True, path_type=Path),
    help=f"File with the API key; or set {PREFIX}API_KEY.",
)


@main.command()
@click.argument("channel")
@click.argument("event_name", required=False)
@click.argument("payload", required=False, default="null")
@click.option("--id", "message_id", help="Makes the call repeatable: the same id is delivered once.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@_url
@_key
def publish(
    channel: str, event_name: str | None, payload: str, message_id: str | None, as_json: bool, url: str,
    key_file: Path | None,
) -> None:  # fmt: skip
    r"""Publish one message. PAYLOAD is JSON; - reads it from standard input.

    \b
    Example:
      apex-rtm publish test ping '{"itemName": "P10_MESSAGE", "value": "Hello"}'
    """
    text = sys.stdin.read() if payload == "-" else payload
    try:
        body = msgspec.json.encode(
            {
                "channel": channel,
                "eventName": event_name,
                "payload": msgspec.Raw(text.encode()),
                "id": message_id,
            }
        )
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        _fail(EXIT_USAGE, f"PAYLOAD is not JSON: {error}; text needs its own quotes, as in '\"Hello\"'")
    answer = _reach(lambda: post(url, "/api/broadcast", body, _read_key(key_file)))
    if answer.status != 200:
        _fail(EXIT_REFUSED, f"refused: {answer.message}")
    click.echo(answer.text if as_json else f"published to {channel} at offset {answer.body['offset']}")


@main.command()
@click.argument("channels", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, as received.")
@click.option("--count", type=int, help="Stop after so many messages.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, path_type=Path),
    help=f"File with a token; or set {PREFIX}TOKEN.",
)
@_url
def listen(
    channels: tuple[str, ...], as_json: bool, count: int | None, token_file: Path | None, url: str
) -> None:  # fmt: skip
    r"""Print what arrives on CHANNELS until Ctrl+C; a name may end in *.

    \b
    Example:
      apex-rtm listen test 'orders:*' --json
    """
    token = token_file.read_text().strip() if token_file else os.environ.get(f"{PREFIX}TOKEN")

    def show(text: str) -> None:
        if as_json:
            click.echo(text)
            return
        message = json.loads(text)
        payload = json.dumps(message.get("payload"), ensure_ascii=False)
        click.echo(f"{message['channel']}  #{message['offset']}  {message.get('eventName') or '-'}  {payload}")

    def note(text: str) -> None:
        click.echo(text, err=True)

    try:
        _reach(lambda: asyncio.run(tail(url, channels, token, count, show, note)))
    except Refused as refused:
        _fail(EXIT_REFUSED, f"refused: {refused.message}")
    except KeyboardInterrupt:
        return


@main.group()
def token() -> None:
    """Mint and read the tokens of browsers."""


def _verifier(config_file: Path | None) -> TokenVerifier:
    settings = _load({}, config_file)
    if settings.jwt_secret is None:
        _fail(EXIT_USAGE, f"no token secret: set {PREFIX}JWT_SECRET or jwt_secret in the TOML file")
    return TokenVerifier(
        settings.jwt_secret.get_secret_value(),
        max_ttl_s=settings.max_token_ttl_s,
        leeway_s=settings.clock_leeway_s,
        clock=SystemClock(),
    )


_config = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), envvar=f"{PREFIX}CONFIG", help="TOML file."
)


@token.command("mint")
@click.argument("user")
@click.argument("channels", nargs=-1)
@click.option("--session-id", help="APEX session id.")
@click.option("--ttl", "ttl_s", default=3600, show_default=True, help="Seconds until it expires.")
@_config
def token_mint(
    user: str, channels: tuple[str, ...], session_id: str | None, ttl_s: int, config_file: Path | None
) -> None:
    r"""Print a token for USER that grants CHANNELS (and the user's own channel).

    \b
    Example:
      apex-rtm token mint SCOTT 'app:100:*' --ttl 600
    """
    try:
        minted, _ = _verifier(config_file).mint(user, session_id, channels, ttl_s)
    except Refused as refused:
        _fail(EXIT_USAGE, refused.message)
    click.echo(minted)


@token.command("show")
@click.argument("source", type=click.File(), default="-")
@_config
def token_show(source: Any, config_file: Path | None) -> None:
    r"""Read a token from a file or standard input, verify it and print what it says as JSON.

    \b
    Example:
      apex-rtm token mint SCOTT test | apex-rtm token show
    """
    try:
        identity = _verifier(config_file).verify(source.read().strip())
    except Refused as refused:
        _fail(EXIT_REFUSED, refused.message)
    click.echo(
        json.dumps(
            {
                "user": identity.user,
                "sessionId": identity.session_id,
                "channels": identity.channel_names,
                "issuedAt": int(identity.issued_at),
                "expiresAt": int(identity.expires_at or 0),
            },
            indent=2,
        )
    )


def _load(flags: dict[str, Any], config_file: Path | None) -> Settings:
    # Variables of the client commands share the prefix; they are not settings of the server.
    client_only = {f"{PREFIX}{name}" for name in ("URL", "API_KEY", "TOKEN")}
    environ = {name: value for name, value in os.environ.items() if name not in client_only}
    try:
        return load_settings(flags, environ, config_file)
    except ConfigurationError as error:
        _stop_for_configuration(error)


def _read_key(key_file: Path | None) -> str | None:
    return key_file.read_text().strip() if key_file else os.environ.get(f"{PREFIX}API_KEY")


def _reach(call: Callable[[], Reached]) -> Reached:
    try:
        return call()
    except Unreachable as error:
        _fail(EXIT_UNREACHABLE, str(error))


def _stop_for_configuration(error: ConfigurationError) -> NoReturn:
    for problem in error.problems:
        click.echo(f"configuration: {problem}", err=True)
    sys.exit(EXIT_USAGE)


def _fail(code: int, text: str) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(code)
