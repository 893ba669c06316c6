"""The command `apex-rtm`: serve, publish, listen, token, check-config, relay, db. Exit codes: see `terminal`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec
import uvloop

from apex_rtm import __version__
from apex_rtm.app import serve as run_server
from apex_rtm.clock import SystemClock
from apex_rtm.deploy_commands import deploy, secret
from apex_rtm.doctor_commands import doctor
from apex_rtm.errors import ConfigurationError, Refused
from apex_rtm.log import configure_logging
from apex_rtm.oracle_commands import database, relay
from apex_rtm.settings import PREFIX
from apex_rtm.tail import post, tail
from apex_rtm.terminal import (
    EXIT_REFUSED,
    EXIT_USAGE,
    config_option,
    fail,
    key_option,
    load,
    reach,
    read_key,
    read_token,
    settings_options,
    stop_for_configuration,
    url_option,
)
from apex_rtm.tokens import TokenVerifier
from apex_rtm.workers import Supervisor, end_with_supervisor, make_command, settings_of_worker


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="apex-rtm")
def main() -> None:
    """Real-time messages for Oracle APEX: takes JSON over HTTP, delivers it to the browsers that may see it.

    \b
    Example: start it, watch a channel, publish to it
      apex-rtm serve
      apex-rtm listen test
      apex-rtm publish test ping '{"value": "Hello"}'
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped


main.add_command(relay)
main.add_command(database)
main.add_command(deploy)
main.add_command(secret)
main.add_command(doctor)


@main.command()
@settings_options()
@click.option("--worker-number", type=int, hidden=True)
def serve(config_file: Path | None, worker_number: int | None, **flags: Any) -> None:
    """Run the server.

    Keys and the token secret are read from APEX_RTM_API_KEYS and APEX_RTM_JWT_SECRET or the TOML file,
    never from the command line. Without them the server is in open mode, for one developer on one machine.
    With --oracle-dsn it sends the outbox of that database itself.

    \b
    Example:
      apex-rtm serve --port 3000
      APEX_RTM_API_KEYS=… APEX_RTM_JWT_SECRET=… apex-rtm serve --host 0.0.0.0 --allowed-origins https://apex.example.com
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    settings = load(flags, config_file)
    configure_logging(settings.log_level, settings.log_format)

    def on_ready(base_url: str) -> None:
        page = f"{base_url}/demo" if settings.demo else base_url
        click.echo(f"apex-rtm {__version__} listens on {page} ({'open' if settings.is_open else 'secured'} mode)")
        if worker_number is not None:
            end_with_supervisor()

    try:
        if worker_number is not None:
            settings = settings_of_worker(settings, worker_number)
        elif settings.workers > 1:
            supervisor = Supervisor(settings, make_command(sys.argv[1:]), click.echo)
            sys.exit(uvloop.run(supervisor.run()))
        uvloop.run(run_server(settings, on_ready))
    except ConfigurationError as error:
        stop_for_configuration(error)
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


@main.command("check-config")
@settings_options()
@click.option("--json", "as_json", is_flag=True, help="Print the settings as JSON.")
def check_config(config_file: Path | None, as_json: bool, **flags: Any) -> None:
    """Check the configuration and print it; secrets are hidden. Every problem is named, not only the first.

    \b
    Example:
      apex-rtm check-config --config /etc/apex-rtm.toml
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    settings = load(flags, config_file)
    values = settings.model_dump(mode="json")
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    for name, value in values.items():
        click.echo(f"{name} = {json.dumps(value)}")
    click.echo(f"The configuration is good ({'open' if settings.is_open else 'secured'} mode).", err=True)


@main.command()
@click.argument("channel")
@click.argument("event_name", required=False)
@click.argument("payload", required=False, default="null")
@click.option("--id", "message_id", help="Makes the call repeatable: the same id is delivered once.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@url_option
@key_option
def publish(
    channel: str, event_name: str | None, payload: str, message_id: str | None, as_json: bool, url: str,
    key_file: Path | None,
) -> None:  # fmt: skip
    """Publish one message. PAYLOAD is JSON; - reads it from standard input.

    \b
    Example:
      apex-rtm publish test ping '{"itemName": "P10_MESSAGE", "value": "Hello"}'
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
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
        fail(EXIT_USAGE, f"PAYLOAD is not JSON: {error}; text needs its own quotes, as in '\"Hello\"'")
    answer = reach(lambda: post(url, "/api/broadcast", body, read_key(key_file)))
    if answer.status != 200:
        fail(EXIT_REFUSED, f"refused: {answer.message}")
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
@url_option
def listen(
    channels: tuple[str, ...], as_json: bool, count: int | None, token_file: Path | None, url: str
) -> None:  # fmt: skip
    """Print what arrives on CHANNELS until Ctrl+C; a name may end in *.

    \b
    Example:
      apex-rtm listen test 'orders:*' --json
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    token = read_token(token_file)

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
        reach(lambda: asyncio.run(tail(url, channels, token, count, show, note)))
    except Refused as refused:
        fail(EXIT_REFUSED, f"refused: {refused.message}")
    except KeyboardInterrupt:
        return


@main.group()
def token() -> None:
    """Mint and read the tokens of browsers."""


def _verifier(config_file: Path | None) -> TokenVerifier:
    settings = load({}, config_file)
    if settings.jwt_secret is None:
        fail(EXIT_USAGE, f"no token secret: set {PREFIX}JWT_SECRET or jwt_secret in the TOML file")
    return TokenVerifier(
        settings.jwt_secret.get_secret_value(),
        max_ttl_s=settings.max_token_ttl_s,
        leeway_s=settings.clock_leeway_s,
        clock=SystemClock(),
    )


@token.command("mint")
@click.argument("user")
@click.argument("channels", nargs=-1)
@click.option("--session-id", help="APEX session id.")
@click.option("--ttl", "ttl_s", default=3600, show_default=True, help="Seconds until it expires.")
@config_option
def token_mint(
    user: str, channels: tuple[str, ...], session_id: str | None, ttl_s: int, config_file: Path | None
) -> None:
    """Print a token for USER that grants CHANNELS (and the user's own channel).

    \b
    Example:
      apex-rtm token mint SCOTT 'app:100:*' --ttl 600
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    try:
        minted, _ = _verifier(config_file).mint(user, session_id, channels, ttl_s)
    except Refused as refused:
        fail(EXIT_USAGE, refused.message)
    click.echo(minted)


@token.command("show")
@click.argument("source", type=click.File("rb"), default="-")
@config_option
def token_show(source: BinaryIO, config_file: Path | None) -> None:
    """Read a token from a file or standard input, verify it and print what it says as JSON.

    \b
    Example:
      apex-rtm token mint SCOTT test | apex-rtm token show
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    try:
        # What is no text is no token either: the verifier says so, and repeats nothing of it.
        identity = _verifier(config_file).verify(source.read().decode("utf-8-sig", "replace").strip())
    except Refused as refused:
        fail(EXIT_REFUSED, refused.message)
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
