"""What the commands have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from apex_rtm.errors import ConfigurationError
from apex_rtm.settings import Settings
from apex_rtm.tail import Reached, Unreachable
from apex_rtm.terminal import (
    fail,
    load,
    reach,
    read_key,
    read_token,
    settings_options,
    stop_for_configuration,
    url_option,
)


def flags_of(*names: str) -> dict[str, click.Option]:
    command = click.command()(settings_options(names or None)(lambda: None))
    shown = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    return {flag: option for option in shown for flag in option.opts}


def test_every_setting_is_a_flag_but_secrets_and_tables() -> None:
    secret = {"api_keys", "jwt_secret", "console_key", "metrics_key", "oracle_password", "oracle_wallet_password"}
    never = {*secret, "redis_password", "namespaces"}

    flags = flags_of()

    assert set(flags) == {f"--{name.replace('_', '-')}" for name in set(Settings.model_fields) - never} | {
        "--dsn", "--config",
    }  # fmt: skip
    assert flags["--demo"].is_flag
    assert flags["--port"].help is not None
    assert flags["--port"].help.endswith("[APEX_RTM_PORT]")


def test_a_command_may_take_some_settings_only() -> None:
    assert set(flags_of("port", "jwt_secret", "log_level")) == {"--port", "--log-level", "--config"}


def test_variables_of_the_client_commands_are_not_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "API_KEY", "TOKEN"):
        monkeypatch.setenv(f"APEX_RTM_{name}", "x")
    monkeypatch.setenv("APEX_RTM_PORT", "8080")

    assert load({}, None).port == 8080


def test_a_wrong_configuration_ends_with_every_problem(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        load({"port": "x", "engine": "y"}, None)

    assert caught.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in lines] == [" --engine", " --port"]
    with pytest.raises(SystemExit):
        stop_for_configuration(ConfigurationError(["host: wrong"]))
    assert capsys.readouterr().err == "configuration: host: wrong\n"


def test_a_key_comes_from_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    path.write_text("from-file\n")
    monkeypatch.delenv("APEX_RTM_API_KEY", raising=False)
    assert read_key(None) is None

    monkeypatch.setenv("APEX_RTM_API_KEY", "from-variable")
    assert read_key(None) == "from-variable"
    assert read_key(path) == "from-file"


def test_nobody_there_is_an_exit_code_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    def call() -> Reached:
        raise Unreachable("no answer from there")

    with pytest.raises(SystemExit) as caught:
        reach(call)

    assert (caught.value.code, capsys.readouterr().err) == (3, "no answer from there\n")
    assert reach(lambda: Reached(200, "", {})).status == 200


def test_failing_is_one_sentence_on_the_error_stream() -> None:
    @click.command()
    def command() -> None:
        fail(1, "refused: why")

    result = CliRunner().invoke(command)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "refused: why\n")


@pytest.mark.parametrize(("read", "name"), [(read_key, "APEX_RTM_API_KEY"), (read_token, "APEX_RTM_TOKEN")])
def test_a_variable_with_more_than_a_line_is_refused_without_showing_it(
    read: Callable[[Path | None], str | None], name: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv(name, "s3cret-one\ns3cret-two")

    with pytest.raises(SystemExit) as caught:
        read(None)

    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{name}: must hold one line, the ")
    assert "s3cret" not in said
    monkeypatch.setenv(name, " ")
    assert read(None) is None


def _say(url: str) -> None:
    click.echo(url)


@pytest.mark.parametrize(
    ("given", "used"),
    [("http://localhost:3000", "http://localhost:3000"), ("wss://rtm.example.com/rtm", "https://rtm.example.com/rtm"),
     ("ws://[::1]:3000", "http://[::1]:3000")],
)  # fmt: skip
def test_an_address_is_taken_as_pages_write_it_too(given: str, used: str) -> None:
    command = click.command()(url_option(_say))

    assert CliRunner().invoke(command, ["--url", given]).output == f"{used}\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [("localhost:3001", "--url: write http://localhost:3001 (https:// "), ("http://[::1", "--url: it is no address"),
     ("rtm.example.com/rtm", "--url: write http://rtm.example.com/rtm"), ("", "--url: write http://localhost:3000"),
     ("http://a:x", "--url: it is no address"), ("http://u:top-secret@a", "--url: host, port and path only")],
)  # fmt: skip
def test_an_address_that_is_none_is_wrong_usage(given: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = click.command()(url_option(_say))
    monkeypatch.setenv("APEX_RTM_URL", given or "ftp://")

    for arguments in (["--url", given], []):
        result = CliRunner().invoke(command, arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(said)
        assert "top-secret" not in result.stderr


def test_a_secret_as_a_flag_is_told_where_it_goes() -> None:
    command = click.command()(settings_options()(lambda **_: None))

    for arguments in (["--api-keys", "s3cret"], ["--jwt-secret=s3cret"], ["--console-key"]):
        result = CliRunner().invoke(command, arguments)
        name = arguments[0].split("=")[0].removeprefix("--").replace("-", "_")
        assert result.exit_code == 2
        assert f"APEX_RTM_{name.upper()} or {name} in the TOML file" in result.stderr
        assert "s3cret" not in result.output


def test_the_help_begins_with_what_most_people_set() -> None:
    flags = flags_of()

    assert [name for name in flags if name != "--config"][:4] == ["--host", "--port", "--engine", "--data-dir"]
    metavars = [flags[name].metavar for name in ("--port", "--drain-delay-s", "--max-body-bytes", "--tls-cert")]
    assert metavars == ["NUMBER", "SECONDS", "BYTES", "PATH"]
    assert flags["--log-format"].metavar == "[auto|text|json]"
