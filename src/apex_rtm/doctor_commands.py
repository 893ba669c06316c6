"""The command `apex-rtm doctor`: examines a server, its proxy and its database, and says what mends them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from apex_rtm import __version__
from apex_rtm.clock import SystemClock
from apex_rtm.database.login import make_login
from apex_rtm.database.sqlplus import Session
from apex_rtm.doctor.catalogue import CHECKS
from apex_rtm.doctor.check import Check
from apex_rtm.doctor.examine import Finding, examine, select
from apex_rtm.doctor.patient import BadUrl, Patient, normal_url
from apex_rtm.doctor.process import listener_on, state_directory
from apex_rtm.doctor.report import as_json, as_text, exit_code
from apex_rtm.doctor.schema import NoLogin
from apex_rtm.errors import ConfigurationError
from apex_rtm.relay.make import require_driver
from apex_rtm.settings import PREFIX, Settings, load_settings
from apex_rtm.terminal import EXIT_USAGE, fail, settings_options

# They belong to other commands and share the prefix.
_NOT_SETTINGS: Final = ("URL", "API_KEY", "TOKEN", "CONFIG")
_WORDS_NARROWER_THAN: Final = 78
_path = click.Path(path_type=Path)


@click.command()
@click.option("--url", envvar=f"{PREFIX}URL", help="The public address, as pages use it: wss://rtm.example.com.")
@click.option("--origin", help="The origin of the pages that connect: https://apex.example.com.")
@click.option("--remote", "is_remote", is_flag=True, help="The server is on another machine: leave out files and port.")
@click.option(
    "--ca-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A root to trust as well."
)
@click.option("--save-root", "root_file", type=_path, help="Write the root that the wallet needs into this file.")
@click.option(
    "--only", "wanted", multiple=True, help="A check or a group, such as tls or db.acl; more than one may be given."
)
@click.option("--skip", "unwanted", multiple=True, help="A check or a group to leave out.")
@click.option(
    "--wait", "patience_s", type=float, default=40, show_default=True, help="Longest wait for a ping, in seconds."
)
@click.option("--json", "wants_json", is_flag=True, help="Print JSON.")
@click.option("--all", "shows_skipped", is_flag=True, help="Show checks that do not apply, too.")
@click.option("--list", "lists", is_flag=True, help="Name the checks and do nothing.")
@settings_options()
def doctor(
    config_file: Path | None, url: str | None, origin: str | None, ca_file: Path | None, root_file: Path | None,
    wanted: tuple[str, ...], unwanted: tuple[str, ...], patience_s: float, *, is_remote: bool, wants_json: bool,
    shows_skipped: bool, lists: bool, **flags: Any,
) -> None:  # fmt: skip
    """Say what is wrong with a server, its proxy and its database, and for each fault what mends it.

    It reads, and publishes a message to the channel apex-rtm:doctor. Secrets are never shown.
    Exit codes: 0 nothing is wrong, 1 warnings or nothing could be checked, 2 failures.

    \b
    Example:
      apex-rtm doctor --config /etc/apex-rtm/apex-rtm.toml --url wss://rtm.example.com --origin https://apex.example.com
      apex-rtm doctor --only tls --remote --url wss://rtm.example.com
      apex-rtm doctor --only db --dsn dbhost:1521/orclpdb1 --oracle-user rtm --oracle-password-file password
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    try:
        checks = select(CHECKS, wanted, unwanted)
    except KeyError as error:
        fail(EXIT_USAGE, f"there is no check and no group {error.args[0]!r}: apex-rtm doctor --list")
    if lists:
        width = max(len(check.id) for check in checks)
        for check in checks:
            click.echo(f"{check.id:<{width}}  {check.title}")
        return
    patient = _meet(flags, config_file)
    try:
        patient.url = None if url is None else normal_url(url)
    except BadUrl as error:
        fail(EXIT_USAGE, f"--url: {error}")
    patient.origin, patient.is_remote, patient.patience_s = origin, is_remote, patience_s
    patient.ca_file, patient.root_file = ca_file, root_file
    findings = _examine(patient, checks)
    if wants_json:
        click.echo(as_json(findings, wanted))
    else:
        click.echo(f"apex-rtm {__version__} doctor\n")
        for line in as_text(findings, _paint, wanted, shows_skipped=shows_skipped):
            click.echo(line)
    sys.stdout.flush()
    sys.exit(exit_code(findings, wanted))


def _meet(flags: dict[str, Any], config_file: Path | None) -> Patient:
    """Load the settings; what is wrong with them is a finding like any other."""
    environ = {name: value for name, value in os.environ.items() if name not in {PREFIX + n for n in _NOT_SETTINGS}}
    patient = Patient(SystemClock(), config_file=config_file, under_systemd="INVOCATION_ID" in environ)
    try:
        settings = load_settings(flags, environ, config_file)
    except ConfigurationError as error:
        patient.problems = tuple(error.problems)
        return patient
    patient.settings = _where_the_server_keeps_it(settings)
    if settings.oracle_dsn is not None:
        patient.connect = lambda: log_in(settings)
    return patient


def _where_the_server_keeps_it(settings: Settings) -> Settings:
    """Unless told where the log is, look where the running server has it: systemd tells only the service."""
    server = listener_on(settings.port) if "data_dir" not in settings.model_fields_set else None
    directory = None if server is None else state_directory(server)
    return settings if directory is None else settings.model_copy(update={"data_dir": directory})


def log_in(settings: Settings) -> Session:
    """A session for the checks. Raises NoLogin, ConfigurationError, DatabaseError."""
    require_driver()
    login = make_login(settings)
    from apex_rtm.database.driver import ConnectFault, connect  # noqa: PLC0415 - needs the driver, which is an extra
    from apex_rtm.database.session import OracleSession  # noqa: PLC0415 - as above

    try:
        return OracleSession(connect(login, "apex-rtm doctor"))
    except ConnectFault as fault:
        raise NoLogin(str(fault)) from fault


def _examine(patient: Patient, checks: list[Check]) -> list[Finding]:
    show = _progress()
    try:
        findings = examine(patient, checks, lambda check: show(f"{check.id}: {check.title} …"))
    finally:
        show("")
        if patient.session is not None and not patient.session_is_lost:
            patient.session.close()
    return [_without_secrets(patient, finding) for finding in findings]


def _without_secrets(patient: Patient, finding: Finding) -> Finding:
    outcome = finding.outcome
    remedy = tuple(patient.hide(line) for line in outcome.remedy)
    return replace(finding, outcome=replace(outcome, saw=patient.hide(outcome.saw), remedy=remedy))


def _progress() -> Callable[[str], None]:
    """One line on the terminal that is written over again and again; nothing where there is no terminal."""
    if not sys.stderr.isatty():
        return lambda _text: None
    return lambda text: click.echo(f"\r\x1b[2K{text[:_WORDS_NARROWER_THAN]}", nl=False, err=True)


def _paint(text: str, colour: str) -> str:
    # click.echo takes the colours out again where standard output is no terminal.
    return click.style(text, fg=colour)
