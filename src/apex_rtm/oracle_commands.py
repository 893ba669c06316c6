"""The commands for those who run the database: `apex-rtm relay` and `apex-rtm db`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import uvloop

from apex_rtm import __version__
from apex_rtm.database.check import check, print_report
from apex_rtm.database.dry_run import DryRun
from apex_rtm.database.login import make_login
from apex_rtm.database.scripts import INSTALL, UNINSTALL, WAKE_QUEUE, scripts_dir
from apex_rtm.database.splitter import ScriptFault
from apex_rtm.database.sqlplus import DatabaseError, Runner, Session
from apex_rtm.errors import ConfigurationError
from apex_rtm.log import configure_logging
from apex_rtm.oracle_settings import OracleSettings
from apex_rtm.relay.make import require_driver, run_relay
from apex_rtm.settings import Settings
from apex_rtm.terminal import (
    EXIT_REFUSED,
    EXIT_UNREACHABLE,
    fail,
    key_option,
    load,
    read_key,
    settings_options,
    stop_for_configuration,
    url_option,
)

_LOGIN: Final = [name for name in OracleSettings.model_fields if name.startswith("oracle_")]


@click.command()
@url_option
@key_option
@settings_options([*OracleSettings.model_fields, "log_level", "log_format"])
def relay(url: str, key_file: Path | None, config_file: Path | None, **flags: Any) -> None:
    """Send the outbox of a database to a server, on commit, until it is stopped.

    The relay fetches the messages itself: the database calls nobody and needs no ACL, wallet or JavaScript. It comes
    back from every fault, and any number of them may run.

    \b
    Example:
      apex-rtm relay --dsn dbhost:1521/orclpdb1 --oracle-user rtm --oracle-password-file /etc/apex-rtm/password \\
        --url https://rtm.example.com --key-file /etc/apex-rtm/api-key
    """  # noqa: D301 - \b is click's mark for a paragraph that is not wrapped
    settings = load(flags, config_file)
    configure_logging(settings.log_level, settings.log_format)

    def on_ready() -> None:
        click.echo(f"apex-rtm {__version__} relays {settings.oracle_user} at {settings.oracle_dsn} to {url}")

    try:
        counts = uvloop.run(run_relay(settings, url, read_key(key_file), on_ready))
    except ConfigurationError as error:
        stop_for_configuration(error)
    click.echo(f"stopped: {counts.sent} sent, {counts.parked} parked", err=True)


@click.group("db")
def database() -> None:
    """Install, check, upgrade and remove the objects in the database, without SQL*Plus or SQLcl.

    A DBA grants what the schema needs first: 00_grants_and_acl.sql in the directory that `apex-rtm db path` prints.
    """


_dry_run = click.option("--dry-run", is_flag=True, help="Print the SQL and connect to nothing.")
_login = settings_options(_LOGIN)


@database.command("path")
def path_command() -> None:
    """Print the directory of the scripts."""
    click.echo(scripts_dir())


@database.command("install")
@_login
@_dry_run
@click.option("--wake-queue", is_flag=True, help="Also the queue that wakes a relay at the commit.")
def install_command(config_file: Path | None, *, dry_run: bool, wake_queue: bool, **flags: Any) -> None:
    """Install everything into the schema that logs in. Safe to run again: rows and settings are kept.

    \b
    Example:
      apex-rtm db install --dsn dbhost:1521/orclpdb1 --oracle-user rtm --oracle-password-file /etc/apex-rtm/password
    """  # noqa: D301 - as above
    scripts = [INSTALL, WAKE_QUEUE] if wake_queue else [INSTALL]
    _run(scripts, flags, config_file, dry_run=dry_run)


@database.command("upgrade")
@_login
@_dry_run
def upgrade_command(config_file: Path | None, *, dry_run: bool, **flags: Any) -> None:
    """Bring what is installed to this release. Rows and settings are kept."""
    _run([INSTALL], flags, config_file, dry_run=dry_run, must_exist=True)


@database.command("uninstall")
@_login
@_dry_run
@click.option("--drop-log", is_flag=True, help="Drop RTM_LOG too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def uninstall_command(config_file: Path | None, *, dry_run: bool, drop_log: bool, yes: bool, **flags: Any) -> None:
    """Remove everything, messages that are not sent yet and stored settings included. The log is kept unless told."""
    if not (dry_run or yes):
        click.confirm("Remove apex-rtm from this schema, with messages that are not sent yet?", abort=True)
    answers = {"rtm_drop_log": "Y" if drop_log else "N"}
    _run([UNINSTALL], flags, config_file, dry_run=dry_run, answers=answers)


@database.command("check")
@_login
def check_command(config_file: Path | None, **flags: Any) -> None:
    """Say what is installed, what is invalid and how sending goes. Exit code 1 when something has to be mended."""
    with _session(load(flags, config_file)) as session:
        report = check(session, scripts_dir())
    print_report(report, click.echo)
    if report.problems:
        fail(EXIT_REFUSED, f"{len(report.problems)} problems")
    click.echo("all is well")


def _run(
    scripts: list[str], flags: dict[str, Any], config_file: Path | None, *, dry_run: bool, must_exist: bool = False,
    answers: dict[str, str] | None = None,
) -> None:  # fmt: skip
    root = scripts_dir()
    if dry_run:
        for script in scripts:
            for line in DryRun(root, answers).lines(root / script):
                click.echo(line)
        return
    with _session(load(flags, config_file)) as session:
        if must_exist and not check(session, root).is_installed:
            fail(EXIT_REFUSED, "nothing is installed in this schema: apex-rtm db install")
        runner = Runner(root, session, click.echo, answers)
        for script in scripts:
            runner.run(root / script)
    totals = runner.totals
    click.echo(f"{totals.statements} statements, {len(totals.invalid)} with errors, {len(totals.failed)} failed")
    if totals.invalid or totals.failed:
        fail(EXIT_REFUSED, "not everything went well, see above")


@contextmanager
def _session(settings: Settings) -> Iterator[Session]:
    """A session for the time of a `with` block; ends the program in words when there is none, or when it fails."""
    session = open_session(settings)
    try:
        yield session
    except (DatabaseError, ScriptFault) as error:
        fail(EXIT_REFUSED, str(error))
    finally:
        session.close()


def open_session(settings: Settings) -> Session:
    """Log in, or end the program in words."""
    try:
        require_driver()
        login = make_login(settings)
    except ConfigurationError as error:
        stop_for_configuration(error)
    from apex_rtm.database.driver import ConnectFault, connect  # noqa: PLC0415 - needs the driver, which is an extra
    from apex_rtm.database.session import OracleSession  # noqa: PLC0415 - as above

    try:
        return OracleSession(connect(login, "apex-rtm db"))
    except ConnectFault as fault:
        fail(EXIT_REFUSED if fault.is_login else EXIT_UNREACHABLE, str(fault))
