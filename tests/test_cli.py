"""The command apex-rtm: what it prints, and with which code it ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from apex_rtm import __version__, cli
from apex_rtm.errors import ConfigurationError, Refused
from apex_rtm.settings import Settings
from apex_rtm.tail import Reached, Unreachable
from tests.support.server import API_KEY, JWT_SECRET, ServerProcess

SECURED = {"APEX_RTM_API_KEYS": API_KEY, "APEX_RTM_JWT_SECRET": JWT_SECRET}


@pytest.fixture(autouse=True)
def _without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name == "PORT" or name.startswith("APEX_RTM_"):
            monkeypatch.delenv(name)


def run(*arguments: str, environ: dict[str, str] | None = None, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli.main, arguments, env=environ, input=stdin, catch_exceptions=False)


# ── help ──


def test_the_command_says_its_version() -> None:
    assert run("--version").output == f"apex-rtm, version {__version__}\n"


@pytest.mark.parametrize(
    "command", ["", "serve", "publish", "listen", "check-config", "token", "token mint", "token show"]
)
def test_every_command_explains_itself(command: str) -> None:
    result = run(*command.split(), "-h")

    assert result.exit_code == 0
    assert "Usage: " in result.output
    assert "\b" not in result.output
    if command != "token":
        assert "Example" in result.output


def test_it_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "apex_rtm", "--version"], capture_output=True, text=True, check=True)

    assert done.stdout == f"apex-rtm, version {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["fly"], ["publish"], ["listen"], ["serve", "--colour", "red"], ["serve", "--api-keys", "x"]]
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


# ── serve ──


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Settings that `serve` was started with; it ends at once."""
    started: list[Settings] = []

    async def serve(settings: Settings, on_ready: Callable[[str], None]) -> None:
        started.append(settings)
        on_ready("http://127.0.0.1:3000")

    monkeypatch.setattr(cli, "run_server", serve)
    monkeypatch.setattr(cli, "configure_logging", lambda *_: None)
    return started


def test_serve_says_where_it_listens(served: list[Settings]) -> None:
    result = run("serve", "--port", "0", "--engine", "memory", environ={"APEX_RTM_HISTORY_SIZE": "5"})

    assert result.output == f"apex-rtm {__version__} listens on http://127.0.0.1:3000 (open mode)\n"
    assert (served[0].port, served[0].engine, served[0].history_size) == (0, "memory", 5)
    assert "listens on http://127.0.0.1:3000/demo (open" in run("serve", "--demo").output
    assert "(secured mode)" in run("serve", environ=SECURED).output


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [(ConfigurationError(["port: 3000 is in use"]), 2, "configuration: port: 3000 is in use\n"),
     (KeyboardInterrupt(), 0, "stopped\n")],
)  # fmt: skip
def test_serve_ends_in_words(monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, text: str) -> None:
    def fail(work: Coroutine[Any, Any, None]) -> None:
        work.close()
        raise error

    monkeypatch.setattr("apex_rtm.cli.uvloop.run", fail)
    monkeypatch.setattr(cli, "configure_logging", lambda *_: None)

    result = run("serve")

    assert (result.exit_code, result.stderr) == (code, text)


# ── check-config ──


def test_check_config_prints_what_is_in_force_and_hides_secrets(tmp_path: Path) -> None:
    path = tmp_path / "rtm.toml"
    path.write_text('allowed_origins = ["https://apex.example.com"]\n')

    result = run("check-config", "--config", str(path), environ=SECURED)

    assert result.exit_code == 0
    assert 'allowed_origins = ["https://apex.example.com"]' in result.stdout.splitlines()
    assert result.stderr == "The configuration is good (secured mode).\n"
    assert API_KEY not in result.output
    assert JWT_SECRET not in result.output


def test_check_config_is_json_where_that_is_wanted() -> None:
    result = run("check-config", "--json", "--port", "5", "--no-io-uring")

    assert json.loads(result.stdout)["port"] == 5
    assert json.loads(result.stdout)["io_uring"] is False
    assert result.stderr == ""


def test_check_config_names_every_problem() -> None:
    result = run("check-config", "--port", "x", environ={"APEX_RTM_COLOUR": "red", "APEX_RTM_API_KEYS": "k"})

    assert result.exit_code == 2
    assert sorted(line.split(": ")[1] for line in result.stderr.splitlines()) == [
        "--port", "APEX_RTM_COLOUR", "jwt_secret",
    ]  # fmt: skip


# ── publish ──


class Server:
    """What `post` was called with, and its answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str, dict[str, Any], str | None]] = []
        self.answer = Reached(200, '{"ok": true, "offset": 7}', {"ok": True, "offset": 7})
        monkeypatch.setattr(cli, "post", self.post)

    def post(self, url: str, path: str, body: bytes, key: str | None) -> Reached:
        self.calls.append((url, path, json.loads(body), key))
        return self.answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(monkeypatch)


def test_publish_sends_one_message(server: Server) -> None:
    result = run("publish", "test", "ping", '{"value": "ü"}', "--id", "x", "--url", "http://rtm")

    assert (result.exit_code, result.output) == (0, "published to test at offset 7\n")
    message = {"channel": "test", "eventName": "ping", "payload": {"value": "ü"}, "id": "x"}
    assert server.calls == [("http://rtm", "/api/broadcast", message, None)]


def test_publish_needs_a_channel_only(server: Server) -> None:
    assert run("publish", "test", "--json").stdout == '{"ok": true, "offset": 7}\n'

    message = {"channel": "test", "eventName": None, "payload": None, "id": None}
    assert server.calls == [("http://127.0.0.1:3000", "/api/broadcast", message, None)]


def test_publish_reads_a_payload_from_standard_input_and_the_key_from_a_file(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("the-key\n")

    run(
        "publish",
        "test",
        "ping",
        "-",
        "--key-file",
        str(path),
        environ={"APEX_RTM_URL": "http://rtm"},
        stdin="[1, 2]\n",
    )

    ((url, _, message, key),) = server.calls
    assert (url, message["payload"], key) == ("http://rtm", [1, 2], "the-key")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["test", '{"value": "Hello"}'], "EVENT_NAME looks like JSON; for no event name write ''"),
     (["test", "{value:Hello}"], "EVENT_NAME looks like JSON"), (["test", '"Hello"'], "EVENT_NAME looks like JSON"),
     (["orders:*", "ping", "1"], "a message goes to one channel; * is for listening"),
     (["test", "ping", "{value:", "Hello}"], "extra argument (Hello}); quote the JSON: '{"),
     (["test", "ping", "{value:1}"], "PAYLOAD is not JSON"), (["test", "ping", "{value:1}"], "; quote the JSON: '{")],
)  # fmt: skip
def test_words_in_each_others_place_are_told(server: Server, words: list[str], said: str) -> None:
    result = run("publish", *words)

    assert result.exit_code == 2
    assert said in result.stderr
    assert server.calls == []


def test_an_empty_event_name_is_none(server: Server) -> None:
    run("publish", "test", "", "5")

    assert server.calls[0][2] == {"channel": "test", "eventName": None, "payload": 5, "id": None}


@pytest.mark.parametrize("code", ["unauthorized", "forbidden"])
def test_listen_without_a_token_is_told_how_to_make_one(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    tailing(monkeypatch, Refused(code, "no"))

    hint = "; apex-rtm token mint USER CHANNEL --config FILE > token, then --token-file token"
    assert run("listen", "a").stderr.endswith(f"refused: no{hint if code == 'unauthorized' else ''}\n")
    assert run("listen", "a", environ={"APEX_RTM_TOKEN": "t"}).stderr.endswith("refused: no\n")


def test_the_list_of_commands_cuts_no_sentence_off() -> None:
    commands = run("-h").output.partition("Commands:")[2].splitlines()[1:]

    assert len(commands) >= 10
    assert all(line.endswith(".") and not line.endswith("...") for line in commands)


@pytest.mark.parametrize("payload", ["Hello", "", "NaN", "1 2"])
def test_a_payload_that_is_not_json_is_wrong_usage(server: Server, payload: str) -> None:
    result = run("publish", "test", "ping", payload)

    assert result.exit_code == 2
    assert "PAYLOAD is not JSON" in result.stderr
    assert "as in '\"Hello\"'" in result.stderr
    assert server.calls == []


def test_a_refused_message_is_1_and_no_server_is_3(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answer = Reached(401, "", {"message": "an API key is needed"})
    result = run("publish", "test")
    assert (result.exit_code, result.stderr) == (
        1, "refused: an API key is needed; --key-file FILE or APEX_RTM_API_KEY\n",
    )  # fmt: skip
    result = run("publish", "test", environ={"APEX_RTM_API_KEYS": "k"})
    assert "the client reads APEX_RTM_API_KEY, one key" in result.stderr
    assert run("publish", "test", environ={"APEX_RTM_API_KEY": "k"}).stderr == "refused: an API key is needed\n"

    def nobody(*_: object) -> Reached:
        raise Unreachable("no answer from there")

    monkeypatch.setattr(cli, "post", nobody)
    result = run("publish", "test")
    assert (result.exit_code, result.stderr) == (3, "no answer from there\n")


# ── listen ──

PUBLICATION = '{"channel":"a","eventName":"ping","payload":{"v":"ü"},"id":"1","epoch":"e","offset":3}'


def tailing(monkeypatch: pytest.MonkeyPatch, outcome: BaseException | None = None) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []

    async def tail(url: str, channels: Any, token: str | None, count: int | None, show: Any, note: Any) -> Reached:
        calls.append((url, channels, token, count))
        note("listening on a from offset 2")
        show(PUBLICATION)
        show('{"channel":"b","eventName":null,"offset":1}')
        if outcome is not None:
            raise outcome
        return Reached(200, "", {})

    monkeypatch.setattr(cli, "tail", tail)
    return calls


def test_listen_prints_what_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = tailing(monkeypatch)

    result = run("listen", "a", "b*", "--count", "2", "--url", "http://rtm", environ={"APEX_RTM_TOKEN": "t"})

    assert (result.exit_code, result.stderr) == (0, "listening on a from offset 2\n")
    assert result.stdout == 'a  #3  ping  {"v": "ü"}\nb  #1  -  null\n'
    assert calls == [("http://rtm", ("a", "b*"), "t", 2)]


def test_listen_prints_json_as_it_was_received(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = tailing(monkeypatch)
    path = tmp_path / "token"
    path.write_text("from-file\n")

    result = run("listen", "a", "--json", "--token-file", str(path))

    assert result.stdout.splitlines()[0] == PUBLICATION
    assert calls[0][2] == "from-file"


@pytest.mark.parametrize(
    ("outcome", "code", "text"),
    [(Refused("forbidden", "no"), 1, "refused: no\n"), (Unreachable("nobody there"), 3, "nobody there\n"),
     (KeyboardInterrupt(), 0, "")],
)  # fmt: skip
def test_listen_ends_in_words(monkeypatch: pytest.MonkeyPatch, outcome: BaseException, code: int, text: str) -> None:
    tailing(monkeypatch)

    def run_and_raise(work: Coroutine[Any, Any, Reached]) -> Reached:
        work.close()
        raise outcome

    monkeypatch.setattr(asyncio, "run", run_and_raise)

    result = run("listen", "a")

    assert (result.exit_code, result.stderr) == (code, text)


def test_publish_and_listen_meet_at_a_real_server(open_server: ServerProcess) -> None:
    for number in range(2):
        assert run("publish", "test", "ping", str(number), "--url", open_server.url).exit_code == 0
    with open_server.client() as http:
        assert http.get("/api/channels/test/history").json()["offset"] == 2

    listening = subprocess.Popen(
        [sys.executable, "-m", "apex_rtm", "listen", "test", "--count", "1", "--json", "--url", open_server.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert listening.stderr is not None
    assert listening.stderr.readline() == "listening on test from offset 2\n"
    run("publish", "test", "ping", "2", "--url", open_server.url)
    out, _ = listening.communicate(timeout=10)

    assert json.loads(out)["payload"] == 2
    assert listening.returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [("publish", "test", "ping", "1", "--key-file"), ("listen", "test", "--token-file"), ("token", "show"),
     ("token", "mint", "SCOTT", "--config"), ("relay", "--key-file"), ("doctor", "--only", "config", "--config"),
     ("serve", "--config"), ("check-config", "--config"), ("db", "check", "--config")],
    ids=lambda arguments: "-".join(arguments[:2]),
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_no_command_shows_what_a_wrong_file_holds(arguments: tuple[str, ...], encoding: str, tmp_path: Path) -> None:
    """Whoever names the configuration as the key file must not find its secrets in a traceback, a log or a chat."""
    path = tmp_path / "rtm.toml"
    path.write_text(f'api_keys = ["{API_KEY}"]\njwt_secret = "{JWT_SECRET}"\ncolour = 1\n', encoding=encoding)

    environ = {"APEX_RTM_URL": "http://127.0.0.1:1", "APEX_RTM_JWT_SECRET": "another-secret" * 4}
    result = run(*arguments, str(path), environ=environ)

    assert result.exit_code in (1, 2)
    assert result.output
    assert API_KEY not in result.output
    assert JWT_SECRET not in result.output


# ── tokens ──


def test_what_is_minted_can_be_shown() -> None:
    minted = run("token", "mint", "SCOTT", "app:*", "--session-id", "4711", "--ttl", "60", environ=SECURED)
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", minted.stdout)

    shown = run("token", "show", environ=SECURED, stdin=minted.stdout)

    said = json.loads(shown.stdout)
    assert said == {
        "user": "SCOTT", "sessionId": "4711", "channels": ["user:SCOTT", "app:*"], "issuedAt": said["expiresAt"] - 60,
        "expiresAt": said["expiresAt"],
    }  # fmt: skip


def test_a_token_may_be_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(run("token", "mint", "SCOTT", environ=SECURED).stdout)

    assert json.loads(run("token", "show", str(path), environ=SECURED).stdout)["user"] == "SCOTT"


def test_without_a_secret_there_are_no_tokens() -> None:
    for command in (["token", "mint", "SCOTT"], ["token", "show"]):
        result = run(*command, stdin="x")
        assert result.exit_code == 2
        assert "set APEX_RTM_JWT_SECRET or jwt_secret in the TOML file" in result.stderr


def test_a_lifetime_that_is_not_allowed_is_wrong_usage() -> None:
    result = run("token", "mint", "SCOTT", "--ttl", "0", environ=SECURED)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "--ttl: must be 1 to 86400 seconds (max_token_ttl_s)\n"


@pytest.mark.parametrize("words", [["", "x"], ["SCOTT", ""], ["SCOTT", "c" * 4001]])
def test_a_token_that_no_server_takes_is_not_minted(words: list[str]) -> None:
    result = run("token", "mint", *words, environ=SECURED)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr


def test_a_token_that_is_refused_is_told_why() -> None:
    result = run("token", "show", environ=SECURED, stdin="not.a.token")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "the token is refused: it is not a valid JWT\n"
