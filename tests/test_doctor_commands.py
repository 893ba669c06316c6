"""`apex-rtm doctor` as it is typed."""

from __future__ import annotations

import json
import os
import pty
import secrets
import select
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from apex_rtm import doctor_commands
from apex_rtm.cli import main
from apex_rtm.doctor.catalogue import CHECKS
from tests.doctor.oracle import FakeDatabase
from tests.support.server import ServerProcess, run_server

SECRET = secrets.token_hex(32)
KEY = secrets.token_hex(32)


def run(*arguments: str, **environ: str) -> Result:
    clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith("APEX_RTM_")}
    return CliRunner().invoke(main, ["doctor", *arguments], env={**clean, "INVOCATION_ID": None, **environ})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration in secured mode, closed to others."""
    file = tmp_path / "rtm.toml"
    data = tmp_path / "data"
    file.write_text(f'api_keys = ["{KEY}"]\njwt_secret = "{SECRET}"\ndata_dir = "{data}"\n')
    file.chmod(0o600)
    return file


def test_the_checks_are_listed() -> None:
    result = run("--list")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == [check.id for check in CHECKS]


@pytest.mark.slow
def test_a_server_in_good_health(tmp_path: Path) -> None:
    with run_server(tmp_path / "data", api_keys=KEY, jwt_secret=SECRET) as server:
        file = tmp_path / "rtm.toml"
        file.write_text(
            f'api_keys = ["{KEY}"]\njwt_secret = "{SECRET}"\ndata_dir = "{tmp_path / "data"}"\nport = {server.port}\n'
        )
        file.chmod(0o600)
        result = run("--config", str(file), "--url", f"ws://127.0.0.1:{server.port}", "--skip", "proxy.idle")
    assert result.exit_code == 0, result.output
    assert "loop.publish" in result.output
    assert "published and received" in result.output
    assert result.output.splitlines()[-1].startswith("2")
    assert "failure" not in result.output
    assert "skipped" not in result.output.replace(" skipped", "", 1), "what does not apply is shown on demand only"
    assert KEY not in result.output
    assert SECRET not in result.output


def test_the_worst_is_the_exit_code(config: Path) -> None:
    assert run("--config", str(config), "--only", "config").exit_code == 0
    assert run("--config", str(config), "--only", "config", "--host", "0.0.0.0").exit_code == 1
    assert run("--config", str(config), "--only", "port", "--port", "1").exit_code == 2


def test_json_is_complete_and_nothing_else(config: Path) -> None:
    config.chmod(0o644)
    config.parent.chmod(0o755)
    result = run("--config", str(config), "--only", "config", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == told["exitCode"] == 2
    (fault,) = [check for check in told["checks"] if check["state"] == "failure"]
    assert fault["id"] == "config.files"
    assert fault["remedy"] == [f"chmod 640 {config}"]


def test_a_configuration_that_does_not_load_is_a_finding_and_no_crash(tmp_path: Path) -> None:
    file = tmp_path / "rtm.toml"
    file.write_text('prot = 3000\njwt_secret = "too short"\n')
    result = run("--config", str(file))
    assert result.exit_code == 2
    assert "you may mean port" in result.output
    assert "not run  config.mode" in result.output
    assert "too short" not in result.output
    file.unlink()
    assert "cannot be read" in run("--config", str(file)).output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--url", "ftp://x"], "--url: ftp://x: must look like wss://rtm.example.com"),
        (["--only", "tsl"], "there is no check and no group 'tsl'"),
        (["--skip", "config.everything"], "config.everything"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_variables_of_the_other_commands_are_no_settings(config: Path) -> None:
    result = run("--config", str(config), "--only", "config.names", APEX_RTM_API_KEY="k", APEX_RTM_TOKEN="t")
    assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_the_log_is_looked_for_where_the_running_server_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd tells the directory to the service and to nobody else."""
    directory = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(directory))
    server = ServerProcess(tmp_path / "unused")
    del server.settings["data_dir"]
    server.start()
    try:
        monkeypatch.delenv("STATE_DIRECTORY")
        result = run("--only", "data.mode", "--port", str(server.port))
        assert f"{directory} has mode 0700" in result.output
        result = run("--only", "data.mode", "--port", str(server.port), "--data-dir", str(tmp_path))
        assert f"{tmp_path} has mode" in result.output
    finally:
        server.kill()


def test_systemd_and_open_mode_do_not_go_together() -> None:
    result = run("--only", "config.mode", INVOCATION_ID="0123456789abcdef0123456789abcdef")
    assert result.exit_code == 2
    assert "under systemd" in result.output


LOGIN = ("--dsn", "dbhost:1521/orclpdb1", "--oracle-user", "rtm")


def test_the_database_is_looked_at_and_left(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = FakeDatabase()
    monkeypatch.setattr(doctor_commands, "log_in", lambda _settings: database)
    skip = ("--skip", "db.broadcast", "--skip", "db.token", "--skip", "clock.database")
    result = run("--config", str(config), *LOGIN, "--only", "db", *skip, APEX_RTM_ORACLE_PASSWORD="tiger")
    assert result.exit_code == 0, result.output
    assert "ok       db.objects" in result.output
    assert "RTM may call rtm.example.com:443" in result.output
    assert database.is_closed


def test_a_database_that_is_not_there_is_told_with_what_to_do(config: Path) -> None:
    login = ("--dsn", "127.0.0.1:1/orcl", "--oracle-user", "rtm")
    result = run("--config", str(config), *login, "--only", "db.acl", APEX_RTM_ORACLE_PASSWORD="tiger")
    assert result.exit_code == 2
    assert "rtm at 127.0.0.1:1/orcl" in result.output
    assert "tnsping 127.0.0.1:1/orcl" in result.output
    assert "not run  db.acl" in result.output
    assert "tiger" not in result.output


def test_without_the_driver_it_says_what_to_install(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apex_rtm.relay.make.find_spec", lambda _name: None)
    result = run("--config", str(config), *LOGIN, "--only", "db.login", APEX_RTM_ORACLE_PASSWORD="tiger")
    assert result.exit_code == 2
    assert "pip install 'oracledb>=3.1'" in result.output


@pytest.mark.slow
def test_on_a_terminal_there_are_colours_and_progress_and_elsewhere_none(open_server: ServerProcess) -> None:
    command = [sys.executable, "-m", "apex_rtm", "doctor", "--only", "port", "--port", str(open_server.port)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("APEX_RTM_", "NO_COLOR"))}
    plain = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert "\x1b" not in plain.stdout + plain.stderr
    assert plain.stderr == ""

    seen = _on_a_terminal(command, environ)
    assert "\x1b[32mok" in seen
    assert "port.listening: The server listens …" in seen


def _on_a_terminal(command: list[str], environ: dict[str, str]) -> str:
    """Everything that a program writes when its output is a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**environ, "TERM": "xterm"}) as process:
        os.close(theirs)
        seen = b""
        while select.select([ours], [], [], 30)[0]:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # Linux says so when the other end is closed
                break
            if not part:
                break
            seen += part
        process.wait(30)
    os.close(ours)
    return seen.decode()
