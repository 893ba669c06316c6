"""The commands for those who run the machine: `apex-rtm deploy` and `apex-rtm secret`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from apex_rtm.deploy import render
from apex_rtm.deploy.render import Site, fresh_secret
from apex_rtm.deploy.write import CONFIG, PUBLIC_MODE, Outcome, Placed, write, write_all, write_config
from apex_rtm.errors import ConfigurationError
from apex_rtm.terminal import EXIT_REFUSED, fail, stop_for_configuration

_domain: Final = click.option("--domain", required=True, help="Name of the server, as in rtm.example.com.")
_origin: Final = click.option(
    "--origin", "origins", multiple=True, help="Origin of the pages, as in https://apex.example.com; may be repeated."
)
_upstream: Final = click.option(
    "--upstream", "upstreams", multiple=True, default=[render.UPSTREAM], show_default=True,
    help="A server behind nginx; may be repeated.",
)  # fmt: skip
_tls: Final = click.option("--tls", "has_own_tls", is_flag=True, help="Without nginx: the server speaks TLS itself.")
_program: Final = click.option("--program", default=render.PROGRAM, show_default=True, help="Where the command is.")
_webroot: Final = click.option(
    "--webroot", default=render.WEBROOT, show_default=True, help="Where certbot puts its challenges."
)
_output: Final = click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead of printing."
)
_force: Final = click.option("--force", "may_replace", is_flag=True, help="Replace a file that has other contents.")


def _shown(function: Callable[..., Any]) -> Callable[..., Any]:
    return _output(_force(function))


@click.group()
def deploy() -> None:
    """Print or write the files of a deployment: for nginx, for systemd, and the configuration.

    \b
    Example: every file in its place, with fresh secrets
      apex-rtm deploy all --domain rtm.example.com --origin https://apex.example.com
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped


@deploy.command("nginx")
@_domain
@_upstream
@_webroot
@_shown
def nginx_command(output: Path | None, may_replace: bool, **site: Any) -> None:  # noqa: FBT001 - click calls by name
    """Print the site for nginx: TLS, WebSockets, and the client's address passed on.

    \b
    Example:
      apex-rtm deploy nginx --domain rtm.example.com --output /etc/nginx/conf.d/apex-rtm.conf
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    _show(render.nginx(_make(**site)), output, may_replace=may_replace)


@deploy.command("nginx-limits")
@_shown
def nginx_limits_command(output: Path | None, may_replace: bool) -> None:  # noqa: FBT001 - click calls by name
    """Print what lets nginx open more files.

    \b
    Example:
      apex-rtm deploy nginx-limits --output /etc/systemd/system/nginx.service.d/apex-rtm.conf
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    _show(render.nginx_limits(), output, may_replace=may_replace)


@deploy.command("systemd")
@click.option("--domain", default="rtm.example.com", help="Name of the server; needed with --tls.")
@_tls
@_program
@_shown
def systemd_command(output: Path | None, may_replace: bool, **site: Any) -> None:  # noqa: FBT001 - click calls by name
    """Print the service for systemd: its own user, watched, and closed in as far as it goes.

    \b
    Example:
      apex-rtm deploy systemd --output /etc/systemd/system/apex-rtm.service
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    _show(render.service(_make(**site)), output, may_replace=may_replace)


@deploy.command("socket")
@click.option("--domain", default="rtm.example.com", help="Name of the server; only said in the file.")
@_tls
@_upstream
@_shown
def socket_command(output: Path | None, may_replace: bool, **site: Any) -> None:  # noqa: FBT001 - click calls by name
    """Print the socket for systemd, which keeps the port open while the service restarts.

    \b
    Example:
      apex-rtm deploy socket --output /etc/systemd/system/apex-rtm.socket
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    made = _make(**site)
    try:
        text = render.listening(made)
    except ConfigurationError as error:
        stop_for_configuration(error)
    _show(text, output, may_replace=may_replace)


@deploy.command("config")
@_domain
@_origin
@_tls
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), default=CONFIG, show_default=True, help="The file."
)
@click.option("--stdout", "is_printed", is_flag=True, help="Print it, secrets and all, instead of writing it.")
@click.option("--force", "may_replace", is_flag=True, help="Replace the file: its secrets are lost.")
def config_command(output: Path, is_printed: bool, may_replace: bool, **site: Any) -> None:  # noqa: FBT001 - click
    """Write the configuration with fresh secrets, readable by its owner only.

    \b
    Example:
      apex-rtm deploy config --domain rtm.example.com --origin https://apex.example.com
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    made = _make(**site)
    if is_printed:
        click.echo(render.configuration(made), nl=False)
        _warn_of_origins(made)
        return
    try:
        placed = write_config(output, made, may_replace=may_replace)
    except OSError as error:
        _stop_for_file(error)
    _tell(placed)
    if placed.outcome is Outcome.WRITTEN:
        _warn_of_origins(made)


@deploy.command("all")
@_domain
@_origin
@_tls
@_upstream
@_program
@_webroot
@click.option(
    "--root", type=click.Path(file_okay=False, path_type=Path), default=Path("/"), show_default=True,
    help="Another directory, to look at the files first.",
)  # fmt: skip
@_force
def all_command(root: Path, may_replace: bool, **site: Any) -> None:  # noqa: FBT001 - click calls by name
    """Write every file in its place. Secrets that are there stay, and so does a file with your edits.

    \b
    Example:
      apex-rtm deploy all --domain rtm.example.com --origin https://apex.example.com
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    made = _make(**site)
    try:
        every = write_all(root, made, may_replace=may_replace)
    except ConfigurationError as error:
        stop_for_configuration(error)
    except OSError as error:
        _stop_for_file(error)
    for placed in every:
        _tell(placed)
    if every[0].outcome is Outcome.WRITTEN:
        _warn_of_origins(made)
    # systemd reads /etc only: after files that lie elsewhere, or none at all, these lines would do nothing.
    if root == Path("/") and any(placed.outcome is Outcome.WRITTEN for placed in every):
        click.echo("next: systemctl daemon-reload && systemctl enable --now apex-rtm.socket apex-rtm", err=True)
        if not made.has_own_tls:
            click.echo("      nginx -t && systemctl restart nginx", err=True)


@click.command()
def secret() -> None:
    """Print a fresh secret for api_keys, jwt_secret, console_key or metrics_key: 256 random bits.

    \b
    Example:
      apex-rtm secret
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    click.echo(fresh_secret())


def _make(**values: Any) -> Site:
    try:
        return Site(**values)
    except ConfigurationError as error:
        stop_for_configuration(error)


def _show(text: str, output: Path | None, *, may_replace: bool) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        placed = write(output, text, PUBLIC_MODE, may_replace=may_replace)
    except OSError as error:
        _stop_for_file(error)
    _tell(placed)


def _tell(placed: Placed) -> None:
    hint = ""
    if placed.outcome is Outcome.BESIDE:
        hint = f"; compare: diff {str(placed.path).removesuffix('.new')} {placed.path}"
    if placed.not_written:
        lines = ", ".join(f"`{line}`" for line in placed.not_written)
        hint = f"; not written: {lines}: add these lines by hand, above every [[…]]"
    click.echo(f"{placed.path}: {placed.outcome.value}{hint}", err=True)


def _warn_of_origins(site: Site) -> None:
    if not site.origins:
        told = f"without --origin only pages of https://{site.domain} itself may connect"
        click.echo(f"warning: {told}; APEX elsewhere: allowed_origins in this file", err=True)


def _stop_for_file(error: OSError) -> NoReturn:
    fail(EXIT_REFUSED, f"{error.filename}: {error.strerror}; is this root? (sudo)")
