"""A server that cannot start says why, with the name of each setting, and leaves at once with code 2."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from apex_rtm.engine.sqlite import FILE_NAME
from tests.hardening.limited import obey_permissions
from tests.support.server import SECURED, run_server

pytestmark = pytest.mark.slow  # each test starts a process or three


def _serve(tmp_path: Path, *flags: str, **settings: str) -> str:
    """Try to serve; return what was said on standard error."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("APEX_RTM_") and name != "PORT"}
    environ |= {"APEX_RTM_DATA_DIR": str(tmp_path / "data"), "APEX_RTM_PORT": "0"}
    environ |= {f"APEX_RTM_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "apex_rtm", "serve", *flags],
        env=environ, capture_output=True, text=True, check=False, timeout=30, preexec_fn=obey_permissions,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"api_keys": "key"}, ["jwt_secret: api_keys are set"]),
        ({"jwt_secret": "s" * 32}, ["api_keys: jwt_secret is set"]),
        ({"api_keys": "key", "jwt_secret": "s" * 31}, ["jwt_secret: has 31 bytes, at least 32"]),
        ({"host": "0.0.0.0"}, ["host: 0.0.0.0 is not loopback", "set api_keys and jwt_secret"]),
        ({"host": "::"}, ["host: :: is not loopback"]),
        ({"host": "rtm.yourdomain.com"}, ["host: rtm.yourdomain.com is not loopback"]),
        ({"api_keys": " , "}, ["api_keys"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_half_a_security_is_none(tmp_path: Path, settings: dict[str, str], words: list[str]) -> None:
    if settings == {"api_keys": " , "}:
        settings = {**settings, "jwt_secret": "s" * 32}
    said = _serve(tmp_path, **settings)
    assert all(word in said for word in words), said


def test_every_fault_of_a_configuration_is_named_at_once(tmp_path: Path) -> None:
    config = tmp_path / "rtm.toml"
    config.write_text('history_size = -1\nnonsense = 1\nengine = "paper"\n[[namespaces]]\nprefix = 5\n')
    said = _serve(
        tmp_path, "--config", str(config), "--log-level", "loud",
        port="70000", api_keys="key", trusted_proxies="10.0.0.300", allowed_origins="apex.example.com", colour="red",
    )  # fmt: skip
    for words in (
        "history_size", "nonsense: there is no such setting", "engine", "namespaces", "--log-level", "APEX_RTM_PORT",
        "jwt_secret: api_keys are set", "trusted_proxies: '10.0.0.300'", "allowed_origins: 'apex.example.com'",
        "APEX_RTM_COLOUR: there is no such setting",
    ):  # fmt: skip
        assert words in said, words
    assert said.count("configuration: ") >= 10


@pytest.mark.parametrize("text", ["port = ", "\x00", "[[["])
def test_a_config_file_that_is_no_toml_is_named(tmp_path: Path, text: str) -> None:
    config = tmp_path / "rtm.toml"
    config.write_text(text)
    assert str(config) in _serve(tmp_path, "--config", str(config))
    assert "absent.toml" in _serve(tmp_path, "--config", str(tmp_path / "absent.toml"))


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = _serve(tmp_path, port=str(port))
    assert f"port: {port} on 127.0.0.1 is in use already" in said


def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    assert "host:" in _serve(tmp_path, host="192.0.2.1", **SECURED)


def test_a_data_directory_of_another_server_is_named(tmp_path: Path) -> None:
    with run_server(tmp_path / "data") as first:
        said = _serve(tmp_path)
        assert "data_dir" in said
        assert "another apex-rtm server uses this data_dir" in said
        with first.client() as http:  # which goes on undisturbed
            assert http.post("/api/broadcast", json={"channel": "test"}).status_code == 200


def test_a_data_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    for data_dir in (locked / "data", locked, tmp_path / "file" / "data"):
        (tmp_path / "file").write_text("not a directory")
        said = _serve(tmp_path, data_dir=str(data_dir))
        assert "data_dir:" in said
        assert str(data_dir) in said


@pytest.mark.parametrize(
    "content", [b"not a database, whatever its name says" * 100, b"SQLite format 3\x00" + b"\xff" * 5000]
)
def test_a_log_that_is_no_log_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "data" / FILE_NAME
    file.parent.mkdir()
    file.write_bytes(content)
    said = _serve(tmp_path)
    assert "data_dir:" in said
    assert "restore a backup" in said
    assert file.read_bytes() == content


def test_permissions_are_obeyed_in_these_tests(tmp_path: Path) -> None:
    """Root may write everywhere; were that right not given up, the test above would prove nothing."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    done = subprocess.run(["touch", locked / "file"], preexec_fn=obey_permissions, capture_output=True, check=False)
    assert done.returncode != 0
