"""`apex-rtm db` and `apex-rtm relay` as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from apex_rtm import oracle_commands
from apex_rtm.cli import main
from apex_rtm.database.scripts import created_by, scripts_dir
from apex_rtm.database.sqlplus import Answer
from tests.database.fake_session import FakeSession

LOGIN = ["--dsn", "127.0.0.1:1/orcl", "--oracle-user", "rtm"]


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, [*arguments], env={"APEX_RTM_ORACLE_PASSWORD": "tiger", **environ})


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    """A database with everything in it, in good order."""
    session = FakeSession()
    files = [path for path in scripts_dir().rglob("*") if path.suffix in (".sql", ".pks", ".pkb")]
    rows = [[kind, name, "VALID"] for kind, name in sorted(created_by(files))]
    session.answers = {
        "product_component_version": Answer(["product", "version"], [["Oracle Database 19c", "19.0.0.0.0"]]),
        "from all_objects": Answer(["object_type", "object_name", "status"], rows),
        "from rtm_settings": Answer(["name", "value"], [["base_url", "https://rtm.example.com"]]),
        "from rtm_outbox_status": Answer(["pending"], [[0, 0, 0, None, "RTM_JOB", 0]]),
        "from user_scheduler_jobs where": Answer(["job_name"], [["RTM_DRAIN_JOB", "TRUE", "RUNNING"]]),
        "as rtm_03": Answer(["rtm_03", "rtm_04"], [["nothing.sql", "04_without_mle.sql"]]),
        "from user_objects o\n where": Answer(["object_type", "object_name"], []),
        "from user_errors": Answer(["name"], []),
    }
    monkeypatch.setattr(oracle_commands, "open_session", lambda _settings: session)
    return session


def test_a_dry_run_prints_everything_and_needs_no_database() -> None:
    result = run("db", "install", "--dry-run", "--wake-queue")

    assert result.exit_code == 0
    for path in scripts_dir().rglob("*.pk?"):
        assert path.read_text(encoding="utf-8").rstrip() in result.output, path.name
    assert "-- 03_websocket_sender_module.sql: only if the database chooses it for &rtm_03" in result.output
    assert "-- 08_rtm_outbox.sql:" in result.output
    assert "dbms_aqadm.create_queue_table" in result.output


def test_a_dry_run_of_the_removal_shows_the_answer_that_is_given() -> None:
    assert "upper('N') = 'Y'" in run("db", "uninstall", "--dry-run").output
    assert "upper('Y') = 'Y'" in run("db", "uninstall", "--dry-run", "--drop-log").output


def test_the_installation_shows_its_progress(session: FakeSession) -> None:
    result = run("db", "install", *LOGIN)

    assert result.exit_code == 0, result.output
    assert "RTM_JOB" in "".join(session.statements).upper()
    assert "ok       packages/rtm_job.pkb:1  create or replace package body rtm_job" in result.output
    assert result.output.splitlines()[-1].endswith("statements, 0 with errors, 0 failed")
    assert session.is_closed


def test_an_installation_that_fails_ends_with_an_error(session: FakeSession) -> None:
    session.faults["create or replace package body rtm_job"] = "ORA-01031: insufficient privileges"
    result = run("db", "install", *LOGIN)

    assert result.exit_code == 1
    assert "packages/rtm_job.pkb:1: ORA-01031" in result.output
    assert session.rollbacks == 1
    assert session.is_closed


def test_an_installation_with_compile_errors_is_not_called_good(session: FakeSession) -> None:
    session.warnings = ["package body rtm_plugin"]
    result = run("db", "install", *LOGIN)
    assert result.exit_code == 1
    assert "1 with errors" in result.output


def test_the_check_finds_nothing_where_nothing_is_wrong(session: FakeSession) -> None:
    result = run("db", "check", *LOGIN)
    assert result.exit_code == 0, result.output
    assert "all is well" in result.output
    assert "19.0.0.0.0" in result.output
    assert all(text.lstrip().startswith("select") for text in session.statements), "a check changes nothing"


@pytest.mark.parametrize(
    ("words", "rows", "problem"),
    [
        ("from rtm_outbox_status", [[3, 2, 0, None, "relay7", 0]], "2 messages are parked"),
        ("from rtm_outbox_status", [[3, 0, 4, "HTTP 401: key", "relay7", 0]], "tries to send failed: HTTP 401"),
        ("from rtm_outbox_status", [[3, 0, 0, None, None, 1]], "waiting for over five minutes"),
        ("from rtm_settings", [], "base_url is not set"),
        ("from user_scheduler_jobs where", [["RTM_DRAIN_JOB", "FALSE", "BROKEN"]], "RTM_DRAIN_JOB is disabled"),
    ],
)  # fmt: skip
def test_the_check_names_what_is_wrong(
    session: FakeSession, words: str, rows: list[list[object]], problem: str
) -> None:
    session.answers[words] = Answer(["column"], rows)
    result = run("db", "check", *LOGIN)
    assert result.exit_code == 1
    assert problem in result.output


def test_the_check_names_what_is_missing_or_invalid(session: FakeSession) -> None:
    rows = list(session.answers["from all_objects"].rows)
    rows = [row for row in rows if row[1] != "RTM_SECRET"]
    rows = [[kind, name, "INVALID" if name == "RTM_TOKEN" else status] for kind, name, status in rows]
    session.answers["from all_objects"] = Answer(["object_type", "object_name", "status"], rows)
    result = run("db", "check", *LOGIN)

    assert "missing: package body RTM_SECRET" in result.output
    assert "invalid: package body RTM_TOKEN (needs APEX in this database)" in result.output
    assert "PLS-00201" in result.output


def test_an_upgrade_wants_something_to_upgrade(session: FakeSession) -> None:
    assert run("db", "upgrade", *LOGIN).exit_code == 0
    session.answers["from all_objects"] = Answer(["object_type", "object_name", "status"], [])
    result = run("db", "upgrade", *LOGIN)
    assert result.exit_code == 1
    assert "apex-rtm db install" in result.output


def test_a_removal_asks_first(session: FakeSession) -> None:
    result = CliRunner().invoke(main, ["db", "uninstall", *LOGIN], input="n\n")
    assert result.exit_code == 1
    assert session.statements == []
    assert run("db", "uninstall", *LOGIN, "--yes", "--drop-log").exit_code == 0
    assert any("upper('Y') = 'Y'" in text for text in session.statements)


def test_where_the_scripts_are() -> None:
    assert Path(run("db", "path").output.strip(), "install.sql").is_file()


# ── logging in, and the relay ──


@pytest.mark.parametrize("command", [["db", "check"], ["db", "install"], ["relay"]])
@pytest.mark.parametrize(
    ("arguments", "environ", "problem"),
    [
        ([], {}, "oracle_dsn: is needed"),
        (["--dsn", "db/orcl"], {}, "oracle_user"),
        (["--dsn", "rtm/tiger@db/orcl", "--oracle-user", "rtm"], {}, "oracle_dsn: must hold neither user nor password"),
        ([*LOGIN, "--oracle-wallet-dir", "/no/such/directory"], {}, "oracle_wallet_dir"),
        ([*LOGIN, "--oracle-schema", "rtm; drop user x"], {}, "oracle_schema"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_work_is_named(
    command: list[str], arguments: list[str], environ: dict[str, str], problem: str
) -> None:
    result = run(*command, *arguments, **environ)
    assert result.exit_code == 2, result.output
    assert problem in result.output
    assert "tiger" not in result.output


@pytest.mark.parametrize("command", [["db", "check"], ["relay"], ["serve"]])
def test_a_password_cannot_be_given_on_the_command_line(command: list[str]) -> None:
    for flag in ("--oracle-password", "--oracle-wallet-password"):
        result = run(*command, flag, "tiger")
        assert result.exit_code == 2
        assert "secrets are never flags" in result.output
        assert "tiger" not in result.output


def test_a_password_file_that_cannot_be_read_is_named() -> None:
    result = CliRunner().invoke(main, ["db", "check", *LOGIN, "--oracle-password-file", "/no/such/file"])
    assert result.exit_code == 2
    assert "oracle_password_file: /no/such/file cannot be read" in result.output


def test_a_database_that_is_not_there_is_unreachable() -> None:
    result = run("db", "check", *LOGIN)
    assert result.exit_code == 3
    assert result.output.startswith("rtm at 127.0.0.1:1/orcl: ")


def test_the_driver_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apex_rtm.relay.make.find_spec", lambda _name: None)
    for command in (["db", "check"], ["relay"]):
        result = run(*command, *LOGIN)
        assert result.exit_code == 2
        assert "pip install 'oracledb>=3.1'" in result.output
