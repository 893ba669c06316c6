"""What the doctor says of settings."""

from __future__ import annotations

import os
import re
import resource
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from apex_rtm.clock import SystemClock
from apex_rtm.doctor import configuration
from apex_rtm.doctor.check import State
from apex_rtm.doctor.configuration import weakness
from apex_rtm.doctor.patient import Patient
from apex_rtm.errors import ConfigurationError
from apex_rtm.settings import load_settings
from tests.doctor.conftest import API_KEY, JWT_SECRET, MakePatient
from tests.doctor.shown import bad, breaks, good, run
from tests.support.server import API_KEY as EXAMPLE_KEY
from tests.support.server import JWT_SECRET as EXAMPLE_SECRET

ROOT = Path(__file__).resolve().parent.parent.parent


def misconfigured(environ: dict[str, str], file: Path | None = None) -> Patient:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({}, environ, file)
    return Patient(SystemClock(), problems=tuple(caught.value.problems), config_file=file)


@breaks("config.names")
def test_a_misspelt_setting_is_named_with_the_one_that_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "rtm.toml"
    file.write_text("max_conections = 10\n")
    told = bad("config.names", misconfigured({"APEX_RTM_JWT_SECERT": "x" * 32}, file))
    assert "max_conections" in told
    assert "you may mean max_connections" in told
    assert "you may mean jwt_secret" in told


def test_known_settings_are_no_reason_to_complain(make_patient: MakePatient) -> None:
    assert good("config.names", make_patient())
    assert good("config.loads", make_patient()) == "no file, secured mode"


@breaks("config.loads")
def test_a_file_that_cannot_be_read_is_looked_for_and_not_checked(tmp_path: Path) -> None:
    file = tmp_path / "rtm.toml"
    told = bad("config.loads", misconfigured({}, file))
    assert f"ls -l {tmp_path}" in told
    assert f"apex-rtm deploy config --domain NAME --output {file}" in told
    assert "check-config" not in told
    file.mkdir()
    assert f"ls -ld {file}" in bad("config.loads", misconfigured({}, file))


@breaks("config.loads")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_root_is_read_as_root(tmp_path: Path) -> None:
    file = tmp_path / "rtm.toml"
    file.write_text("port = 3000")
    file.chmod(0)
    assert f"sudo apex-rtm doctor --config {file}" in bad("config.loads", misconfigured({}, file))


@breaks("config.loads")
def test_every_problem_of_a_configuration_is_told(tmp_path: Path) -> None:
    file = tmp_path / "rtm.toml"
    file.write_text('port = "many"\njwt_secret = "short"\n')
    told = bad("config.loads", misconfigured({}, file))
    assert "port" in told
    assert "api_keys: jwt_secret is set" in told
    assert "at least 32 are needed" in told
    assert "apex-rtm check-config" in told


@breaks("config.mode")
@pytest.mark.parametrize("about", [{"url": "https://rtm.example.com"}, {"under_systemd": True}])
def test_open_mode_on_a_server_is_a_failure(make_patient: MakePatient, about: dict[str, object]) -> None:
    told = bad("config.mode", make_patient(about, api_keys=None, jwt_secret=None))
    assert "open mode" in told
    assert "apex-rtm secret" in told
    assert ">>" not in told, "behind [[namespaces]] a line would be a member of that table"


def test_open_mode_of_a_developer_is_fine(make_patient: MakePatient) -> None:
    assert "open" in good("config.mode", make_patient({"url": "http://127.0.0.1:8080"}, api_keys=None, jwt_secret=None))
    assert "secured" in good("config.mode", make_patient({"url": "https://rtm.example.com"}))


@breaks("config.exposure")
def test_a_plain_port_on_the_network_is_warned_of(make_patient: MakePatient) -> None:
    told = bad("config.exposure", make_patient(host="0.0.0.0"), State.WARNING)
    assert 'host = "127.0.0.1"' in told
    assert "--remove-port=3000/tcp" in told
    assert good("config.exposure", make_patient(host="::1"))


@breaks("config.secrets")
@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"jwt_secret": "change-me-change-me-change-me-change-me"}, "jwt_secret looks like an example"),
        ({"jwt_secret": "a" * 64}, "jwt_secret has at most 0 bits"),
        ({"api_keys": "mikado"}, "api_keys, no. 1 has at most"),
        ({"api_keys": f"{API_KEY},correct-horse-battery-staple"}, "api_keys, no. 2 is made of words"),
        ({"api_keys": JWT_SECRET}, "is the jwt_secret too"),
        ({"console_key": "aaaaaaaaaaaaaaaaaaaa"}, "console_key has at most"),
    ],
)
def test_a_secret_that_can_be_guessed_is_a_failure(
    make_patient: MakePatient, settings: dict[str, str], fault: str
) -> None:
    told = bad("config.secrets", make_patient(**settings))
    assert fault in told
    assert "openssl rand -hex 32" in told
    assert all(value not in told for value in settings.values()), "a secret is never shown"


def test_random_secrets_are_good_however_they_are_made(make_patient: MakePatient) -> None:
    for make in (secrets.token_hex, secrets.token_urlsafe):
        for _ in range(50):
            assert weakness(make(32), 128) is None
    assert weakness("cWZQMwRezuFaMysjyjcHeRRrnTUSM-urDGHzfhBsyIg", 128) is None  # no digit, and a hyphen: by chance
    assert "1 API key and" in good("config.secrets", make_patient())
    assert run("config.secrets", make_patient(api_keys=None, jwt_secret=None)).state is State.SKIPPED


def test_every_secret_that_stands_in_a_page_is_known_as_an_example() -> None:
    """Somebody will copy it: what documentation and tests use must be recognized."""
    found = {EXAMPLE_KEY, EXAMPLE_SECRET}
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*")]:
        if page.is_file():
            text = page.read_text(encoding="utf-8", errors="replace")
            found |= set(
                re.findall(r"(?i)(?:api_keys|jwt_secret|console_key|metrics_key)\s*=\s*\[?\"([^\"$]+)\"", text)
            )
            found |= set(re.findall(r"APEX_RTM_(?:API_KEYS|JWT_SECRET|\w+_KEY)=[\"']?([^\s\"'$`]+)", text))
    assert [text for text in found if weakness(text, 80) is None] == []


@breaks("config.files")
@pytest.mark.parametrize(
    ("text", "mode", "command"),
    [
        (f'jwt_secret = "{JWT_SECRET}"\napi_keys = ["{API_KEY}"]\n', 0o644, "chmod 640"),
        (f'jwt_secret = "{JWT_SECRET}"\napi_keys = ["{API_KEY}"]\n', 0o660, "chmod 640"),
        ("port = 3000\n", 0o666, "chmod 644"),
    ],
)
def test_a_file_that_others_can_read_or_change_is_a_failure(
    tmp_path: Path, make_patient: MakePatient, text: str, mode: int, command: str
) -> None:
    tmp_path.chmod(0o755)
    file = tmp_path / "rtm.toml"
    file.write_text(text)
    file.chmod(mode)
    told = bad("config.files", make_patient({"config_file": file}))
    assert f"{command} {file}" in told
    tmp_path.chmod(0o750)
    assert good("config.files", make_patient({"config_file": file})), "a closed directory closes what is in it"
    tmp_path.chmod(0o755)
    file.chmod(0o640)
    assert good("config.files", make_patient({"config_file": file}))


@breaks("config.files")
def test_the_password_file_counts_too(tmp_path: Path, make_patient: MakePatient) -> None:
    tmp_path.chmod(0o755)
    password = tmp_path / "password"
    password.write_text("tiger")
    password.chmod(0o604)
    patient = make_patient(oracle_password_file=str(password))
    assert f"chmod 640 {password}" in bad("config.files", patient)
    password.unlink()
    assert "No such file" in bad("config.files", patient)
    assert run("config.files", make_patient()).state is State.SKIPPED


@breaks("config.descriptors")
def test_more_connections_than_descriptors_are_a_failure(make_patient: MakePatient) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    told = bad("config.descriptors", make_patient(port="1", max_connections=hard))
    assert "LimitNOFILE=65536" in told
    assert good("config.descriptors", make_patient(port="1", max_connections=10))


@breaks("config.descriptors")
def test_a_small_limit_is_warned_of(make_patient: MakePatient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "descriptor_limit", lambda _process: 1024)
    assert "little for a server" in bad("config.descriptors", make_patient(port="1"), State.WARNING)
    assert run("config.descriptors", make_patient({"is_remote": True})).state is State.SKIPPED


@pytest.mark.slow
def test_the_limit_is_that_of_a_real_process() -> None:
    """Run under `ulimit -n`, the doctor sees what a server would get."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("APEX_RTM_")}
    # Port 1: what listens on the usual one would be looked at instead.
    command = f'ulimit -n 300; exec "{sys.executable}" -m apex_rtm doctor --only config.descriptors --port 1'
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, env=environ, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "300 descriptors of this shell" in done.stdout


@breaks("config.proxies")
@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "10.0.0.0/7"])
def test_a_network_that_is_no_proxy_is_a_failure(make_patient: MakePatient, network: str) -> None:
    told = bad("config.proxies", make_patient(trusted_proxies=f"127.0.0.1,{network}"))
    assert network in told
    assert 'trusted_proxies = ["127.0.0.1"]' in told
    assert "127.0.0.1" in good("config.proxies", make_patient(trusted_proxies="127.0.0.1,10.0.0.0/24"))
