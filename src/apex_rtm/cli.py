"""The command `apex-rtm`: serve, publish, listen, token, check-config, relay, db. Exit codes: see `terminal`."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO, Final

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

_QUOTES: Final = """quote the JSON: '{"value": "Hello"}', or - reads it from standard input"""


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


# Sentences that fit beside the names; the first ones of their help are longer.
_SHORT: Final[dict[click.Command, str]] = {
    relay: "Send the outbox of a database to a server.",
    database: "Install and check the objects in the database.",
    deploy: "Print or write the files of a deployment.",
    secret: "Print a fresh secret.",
    doctor: "Say what is wrong, and what mends it.",
}
for _command, _text in _SHORT.items():
    _command.short_help = _text
    main.add_command(_command)


class _Publish(click.Command):
    """Says what is wrong with words that the shell has cut from JSON."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if "extra argument" in error.message:
                raise click.UsageError(f"{error.message}; {_QUOTES}", ctx) from error
            raise


@main.command(short_help="Run the server.")
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
        if settings.demo:
            click.echo(f"The console is at {base_url}/console")
        if worker_number is not None:
            end_with_supervisor()

    # What was imported lives as long as the process: no collection need look at it again. What ends here is freed
    # without one; where Python looks after every few hundred new objects, 9,000 clients that came back at once cost
    # 1.2 s of looking in vain, 0.26 s of them in one piece. With these numbers it was 0.3 s and 0.02 s.
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)
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


@main.command("check-config", short_help="Check the settings and print them.")
@settings_options()
@click.option("--json", "as_json", is_flag=True, help="Print the settings as JSON.")
def check_config(config_file: Path | None, as_json: bool, **flags: Any) -> None:
    """Check the configuration and print it; secrets are hidden. Every problem is named, not only the first.

    \b
    Example:
      apex-rtm check-config --config /etc/apex-rtm/apex-rtm.toml
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    settings = load(flags, config_file)
    values = settings.model_dump(mode="json")
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    for name, value in values.items():
        click.echo(f"{name} = {json.dumps(value)}")
    click.echo(f"The configuration is good ({'open' if settings.is_open else 'secured'} mode).", err=True)


@main.command(cls=_Publish, short_help="Publish one message.")
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

    A secured server wants one of its api_keys, from --key-file or APEX_RTM_API_KEY. For no event name write ''.

    \b
    Example:
      apex-rtm publish test ping '{"itemName": "P10_MESSAGE", "value": "Hello"}'
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    _check_words(channel, event_name)
    body = _message(channel, event_name or None, payload, message_id)
    key = read_key(key_file)
    answer = reach(lambda: post(url, "/api/broadcast", body, key))
    if answer.status != 200:
        fail(EXIT_REFUSED, f"refused: {answer.message}{_publish_remedy(answer.status, url, key)}")
    if "offset" not in answer.body and not as_json:
        fail(EXIT_REFUSED, f"no apex-rtm answers at {url}")
    click.echo(answer.text if as_json else f"published to {channel} at offset {answer.body['offset']}")


def _check_words(channel: str, event_name: str | None) -> None:
    """End where words stand in each other's place: the server would take them."""
    if channel.endswith("*"):
        fail(EXIT_USAGE, "CHANNEL: a message goes to one channel; * is for listening")
    if (event_name or "").lstrip().startswith(("{", "[", '"')):
        fail(EXIT_USAGE, f"EVENT_NAME looks like JSON; for no event name write '': apex-rtm publish {channel} '' '…'")


def _message(channel: str, event_name: str | None, payload: str, message_id: str | None) -> bytes:
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig") if payload == "-" else payload
        values = {"channel": channel, "eventName": event_name, "payload": msgspec.Raw(text.encode()), "id": message_id}
        body = msgspec.json.encode(values)
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        looks_cut = text.lstrip().startswith(("{", "["))
        remedy = _QUOTES if looks_cut else "text needs its own quotes, as in '\"Hello\"'"
        fail(EXIT_USAGE, f"PAYLOAD is not JSON: {error}; {remedy}")
    except UnicodeError:
        fail(EXIT_USAGE, "the message is not UTF-8")
    return body


def _publish_remedy(status: int, url: str, key: str | None) -> str:
    if 300 <= status < 400 and url.startswith("http://"):
        return f"HTTP {status}; try https://"
    if status != 401 or key is not None:
        return ""
    is_servers = f"{PREFIX}API_KEYS" in os.environ
    other = f" (the client reads {PREFIX}API_KEY, one key; {PREFIX}API_KEYS is the server's)" if is_servers else ""
    return f"; --key-file FILE or {PREFIX}API_KEY{other}"


_MINT_ONE: Final = "; apex-rtm token mint USER CHANNEL --config FILE > token, then --token-file token"


@main.command(short_help="Print what arrives on channels.")
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

    A secured server wants a token: apex-rtm token mint USER CHANNEL --config FILE > token makes one, --token-file
    token or APEX_RTM_TOKEN hands it over.

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
        wants_token = token is None and refused.code == "unauthorized"
        fail(EXIT_REFUSED, f"refused: {refused.message}{_MINT_ONE if wants_token else ''}")
    except KeyboardInterrupt:
        return


@main.group(short_help="Mint and read the tokens of browsers.")
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
@click.option(
    "--ttl", "ttl_s", metavar="SECONDS", type=int, default=3600, show_default=True, help="Seconds until it expires."
)
@config_option
def token_mint(
    user: str, channels: tuple[str, ...], session_id: str | None, ttl_s: int, config_file: Path | None
) -> None:
    """Print a token for USER that grants CHANNELS (and the user's own channel).

    It is signed with the server's own jwt_secret: name its TOML file with --config, or set APEX_RTM_JWT_SECRET.

    \b
    Example:
      apex-rtm token mint SCOTT 'app_100:*' --ttl 600
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    if not user or not all(channels):
        fail(EXIT_USAGE, "USER and CHANNELS must not be empty")
    verifier = _verifier(config_file)
    if not 1 <= ttl_s <= verifier.max_ttl_s:
        fail(EXIT_USAGE, f"--ttl: must be 1 to {verifier.max_ttl_s:.0f} seconds (max_token_ttl_s)")
    try:
        minted, _ = verifier.mint(user, session_id, channels, ttl_s)
        verifier.verify(minted)  # what no server would take, such as too many channels, is told here
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
