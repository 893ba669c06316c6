"""The commands print exactly the files of deploy/, and hand out no secret by accident."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tools import deploy_files

from apex_rtm import deploy_commands
from apex_rtm.cli import main
from apex_rtm.deploy import render
from apex_rtm.deploy.write import Outcome, Placed

FOLDER = deploy_files.FOLDER


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


PRINTED = {
    "nginx-rtm.conf.example": ["nginx", "--domain", "rtm.example.com"],
    "nginx-limits.conf": ["nginx-limits"],
    "apex-rtm.service": ["systemd"],
    "apex-rtm.socket": ["socket"],
}


@pytest.mark.parametrize("name", PRINTED)
def test_the_files_in_the_repository_are_what_is_printed(name: str) -> None:
    done = run("deploy", *PRINTED[name])
    assert done.exit_code == 0
    assert done.stdout == (FOLDER / name).read_text(encoding="utf-8")


def test_every_example_is_up_to_date(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["deploy_files", "--check"])
    assert deploy_files.main() == 0
    monkeypatch.setattr(render, "WEBROOT", "/elsewhere")
    monkeypatch.setattr(deploy_files, "files", lambda: {"apex-rtm.service": "other"})
    assert deploy_files.main() == 1
    assert "deploy/apex-rtm.service is not up to date" in capsys.readouterr().err


def test_a_file_is_written_instead_of_printed(tmp_path: Path) -> None:
    path = tmp_path / "apex-rtm.service"
    done = run("deploy", "systemd", "--output", path)
    assert (done.exit_code, done.stdout) == (0, "")
    assert path.read_text() == render.service(render.Site("rtm.example.com"))
    path.write_text("edited")
    done = run("deploy", "systemd", "--output", path)
    assert "differs, so the new one is beside it; compare: diff " in done.stderr
    assert path.read_text() == "edited"
    assert run("deploy", "systemd", "--output", path, "--force").exit_code == 0
    assert path.read_text() != "edited"


def test_the_configuration_is_written_and_said_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "apex-rtm.toml"
    done = run("deploy", "config", "--domain", "rtm.example.com", "--output", path)
    assert done.exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_text().split('api_keys = ["')[1].split('"')[0]
    assert key not in done.stdout + done.stderr
    assert "kept: it holds your secrets" in run(
        "deploy", "config", "--domain", "rtm.example.com", "--output", path
    ).stderr  # fmt: skip
    assert key in path.read_text()
    printed = run("deploy", "config", "--domain", "rtm.example.com", "--stdout")
    assert 'api_keys = ["' in printed.stdout
    assert key not in printed.stdout


def test_everything_is_written_at_once_without_a_secret_on_the_screen(tmp_path: Path) -> None:
    done = run(
        "deploy", "all", "--domain", "rtm.example.com", "--origin", "https://apex.example.com", "--root", tmp_path
    )
    assert (done.exit_code, done.stdout) == (0, "")
    assert "next:" not in done.stderr, "systemd does not look there"
    assert "warning" not in done.stderr
    config = (tmp_path / "etc/apex-rtm/apex-rtm.toml").read_text()
    assert config.split('jwt_secret = "')[1].split('"')[0] not in done.stderr
    checked = run("check-config", "--config", tmp_path / "etc/apex-rtm/apex-rtm.toml")
    assert checked.exit_code == 0, checked.output
    assert "nginx" not in run("deploy", "all", "--domain", "rtm.example.com", "--tls", "--root", tmp_path / "b").stderr


@pytest.mark.parametrize(
    ("outcomes", "more", "next_step"),
    [
        ([Outcome.WRITTEN, Outcome.WRITTEN], [], "systemctl daemon-reload && systemctl enable --now apex-rtm.socket"),
        ([Outcome.KEPT, Outcome.WRITTEN], [], "nginx -t"),
        ([Outcome.WRITTEN], ["--tls"], "systemctl daemon-reload"),
        ([Outcome.KEPT, Outcome.SAME, Outcome.BESIDE], [], None),
    ],
)
def test_the_next_step_is_told_where_there_is_one(
    outcomes: list[Outcome], more: list[str], next_step: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = [Placed(Path("/etc/file"), outcome) for outcome in outcomes]
    monkeypatch.setattr(deploy_commands, "write_all", lambda *_arguments, **_flags: placed)
    said = run("deploy", "all", "--domain", "rtm.example.com", *more).stderr
    assert ("next:" in said) == (next_step is not None)
    assert next_step is None or next_step in said
    assert ("nginx" in said) == (next_step is not None and not more)


def test_what_a_kept_configuration_lacks_is_told_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "apex-rtm.toml"
    call: list[str | Path] = ["deploy", "config", "--domain", "rtm.example.com", "--output", path]
    first = run(*call, "--origin", "https://apex.example.com").stderr
    assert "warning" not in first
    said = run(*call, "--origin", "https://apex.example.com").stderr
    assert said == f"{path}: kept: it holds your secrets\n"
    said = run(*call, "--tls", "--origin", "https://other.example.com").stderr
    assert said == (
        f"{path}: kept: it holds your secrets; not written: "
        '`allowed_origins = ["https://apex.example.com", "https://other.example.com"]`, '
        '`tls_cert = "/run/apex-rtm/fullchain.pem"`, `tls_key = "/run/apex-rtm/privkey.pem"`: '
        "add these lines by hand, above every [[…]]\n"
    )
    path.write_text("this is no TOML")
    assert "`trusted_proxies = " in run(*call).stderr


def test_without_an_origin_it_warns_once_a_file_is_written(tmp_path: Path) -> None:
    words = "warning: without --origin only pages of https://rtm.example.com itself may connect"
    assert words in run("deploy", "all", "--domain", "rtm.example.com", "--root", tmp_path).stderr
    assert words not in run("deploy", "all", "--domain", "rtm.example.com", "--root", tmp_path).stderr
    printed = run("deploy", "config", "--domain", "rtm.example.com", "--stdout")
    assert words in printed.stderr
    assert words not in printed.stdout


def test_wrong_options_end_it_in_words(tmp_path: Path) -> None:
    done = run("deploy", "nginx", "--domain", "localhost", "--upstream", "x")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "configuration: --domain" in done.stderr
    assert "configuration: --upstream" in done.stderr
    (tmp_path / "file").write_text("")
    done = run("deploy", "systemd", "--output", tmp_path / "file" / "below")
    assert done.exit_code == 1
    assert "is this root? (sudo)" in done.stderr


def test_a_secret_is_printed_when_asked_for() -> None:
    first, second = run("secret").stdout, run("secret").stdout
    assert len(first.strip()) == 43
    assert first != second


# ── what systemd thinks of the units ──

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed: apt install systemd")


@pytest.mark.parametrize("upstream", ["localhost:3000", "node1.internal:3000"])
@pytest.mark.parametrize("command", ["socket", "all"])
def test_a_socket_that_systemd_would_refuse_is_not_written(command: str, upstream: str, tmp_path: Path) -> None:
    """ListenStream= takes addresses only; the service would not start for want of its socket."""
    more = ["--root", str(tmp_path)] if command == "all" else []
    said = run("deploy", command, "--domain", "rtm.example.com", "--upstream", upstream, *more)
    assert said.exit_code == 2
    assert "--upstream: the socket needs an address" in said.stderr
    assert not list(tmp_path.iterdir())
    assert run("deploy", "nginx", "--domain", "rtm.example.com", "--upstream", upstream).exit_code == 0


@pytest.fixture(params=[[], ["--tls"]], ids=["nginx", "own tls"])
def units(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The units, with a program that exists here in place of the installed one."""
    program = shutil.which("true") or "/bin/true"
    done = run("deploy", "all", "--domain", "rtm.example.com", "--root", tmp_path, "--program", program, *request.param)
    assert done.exit_code == 0, done.output
    return tmp_path / "etc/systemd/system"


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run([ANALYZE, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=50)


@needs_systemd
def test_systemd_accepts_the_units(units: Path) -> None:
    done = analyze("verify", "--man=no", units / "apex-rtm.service", units / "apex-rtm.socket")
    assert (done.returncode, done.stderr) == (0, "")
    service = units / "apex-rtm.service"
    service.write_text(service.read_text().replace("Type=notify", "Type=nonsense"))
    assert "nonsense" in analyze("verify", "--man=no", service).stderr  # it does look


@needs_systemd
def test_the_service_is_closed_in(units: Path) -> None:
    """systemd's own measure, from 0 (closed) to 10 (open): most services of a distribution have 9 and more."""
    done = analyze("security", "--offline=yes", "--threshold=15", units / "apex-rtm.service")
    assert done.returncode == 0, done.stdout.splitlines()[-1]
