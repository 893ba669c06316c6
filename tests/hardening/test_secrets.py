"""Attacks on what a server says about its callers: keys, tokens and payloads in logs, errors and listings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.raw import HOST, ask, command, masked, post, raw
from tests.support.server import API_KEY, JWT_SECRET, SECURED, ServerProcess, run_server
from tests.support.tokens import make_token

FAULT = """
import sys
from apex_rtm.log import configure_logging, get_logger

configure_logging("debug", sys.argv[1])

def verify(token):
    claims = {"deep": [token]}
    raise ValueError("something unforeseen")

try:
    verify("the-token-of-somebody")
except ValueError:
    get_logger("test").exception("request.failed", api_key="the-token-of-somebody", note="kept")
"""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_traceback_shows_no_values(log_format: str) -> None:
    """Pretty tracebacks print the locals of every frame: one fault in the right place writes tokens into the log."""
    done = subprocess.run(
        [sys.executable, "-c", FAULT, log_format], capture_output=True, text=True, check=True, timeout=30
    )
    assert "something unforeseen" in done.stderr
    assert "verify" in done.stderr
    assert "kept" in done.stderr
    assert "the-token-of-somebody" not in done.stderr


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_key_token_or_payload_reaches_the_log_or_an_answer(tmp_path: Path, log_format: str) -> None:
    """Logs are copied, shipped and read by many: a token in them is a token given away, be it from a URL or a frame."""
    token, stale = make_token("SCOTT", "app:*"), make_token("KING", "app:*", ttl_s=-100)
    forged = make_token("KING", secret="another secret of thirty-two bytes")
    url = f"/?token={token}&channel=app:1".encode()
    answers: list[bytes] = []
    with run_server(tmp_path, **SECURED, log_level="debug", log_format=log_format, close_timeout_s=0.2) as server:
        key, bearer = f"X-API-Key: {API_KEY}\r\n".encode(), f"Authorization: Bearer {API_KEY}\r\n".encode()
        payload = b'{"channel":"app:1","payload":"the-payload","meta":{"a":"the-meta"}}'
        answers.append(ask(server.port, *post(b"/api/broadcast", payload, key)).body)
        wrong = (b"X-API-Key: the-wrong-key\r\n", b"Authorization: Basic the-basic-secret\r\n")
        answers += [ask(server.port, *post(b"/api/broadcast", payload, header)).body for header in wrong]
        paths = (b"/api/connections", b"/api/channels", b"/openapi.json", b"/nowhere" + url[1:], b"/health/ready")
        answers += [ask(server.port, b"GET ", path, b" HTTP/1.1\r\n", HOST, bearer, b"\r\n").body for path in paths]
        answers.append(ask(server.port, b"GET / HTTP/1.1\r\n", HOST, b"X : ", token.encode(), b"\r\n\r\n").body)
        for one in (token, stale, forged):
            with raw(server.port) as socket:
                socket.upgrade(url)
                socket.send(command(type="connect", token=one), command(type="refresh", token=f"{one}x"))
                socket.send(masked(1, one.encode()), masked(2, one.encode()))
                answers.append(socket.read_to_end())
        minted = ask(server.port, *post(b"/api/tokens", b'{"user":"SCOTT","channels":[]}', key)).json["token"]
        assert server.stop() == 0
        log = "".join(server.log)
    assert "server.started" in log
    secrets = {
        API_KEY,
        JWT_SECRET,
        token,
        stale,
        forged,
        minted,
        "the-payload",
        "the-meta",
        "the-wrong-key",
        "the-basic",
    }
    assert not [secret for secret in secrets if secret in log]
    said = b"".join(answers).decode("utf-8", "replace")
    assert not [secret for secret in secrets if secret in said]


def test_nobody_writes_lines_of_their_own_into_the_log(tmp_path: Path) -> None:
    """A user name with a line end, copied into a text log, forges an entry; one with an escape owns the terminal."""
    with run_server(tmp_path, **SECURED, log_format="text") as server:
        forged = "SCOTT\n2026-01-01 [error] forged.entry\r\x1b[2Jend"
        body = json.dumps({"user": forged, "channel": forged}).encode()
        assert ask(server.port, *post(b"/api/revoke", body, f"X-API-Key: {API_KEY}\r\n".encode())).status == 200
        assert server.stop() == 0
        lines = "".join(server.log).splitlines()
    assert [line for line in lines if "rights.revoked" in line]
    assert not [line for line in lines if line.startswith("2026-01-01")]
    assert not [line for line in lines if "\x1b[2J" in line]


def test_the_command_line_shows_no_secret(tmp_path: Path) -> None:
    """`check-config` is what people paste into a ticket, and `ps` shows every argument to every user of the machine."""
    config = tmp_path / "rtm.toml"
    config.write_text(f'api_keys = ["{API_KEY}"]\njwt_secret = "{JWT_SECRET}"\nport = "x"\n')
    broken = _run("check-config", "--config", str(config))
    config.write_text(config.read_text().replace('port = "x"\n', ""))
    good = _run("check-config", "--config", str(config))
    help_text = _run("serve", "--help")
    assert (broken.returncode, good.returncode) == (2, 0)
    for done in (broken, good):
        assert API_KEY not in done.stdout + done.stderr
        assert JWT_SECRET not in done.stdout + done.stderr
    assert "--jwt-secret" not in help_text.stdout
    assert "--api-keys" not in help_text.stdout


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "apex_rtm", *arguments], capture_output=True, text=True, check=False, timeout=30
    )


def test_headers_of_an_answer_repeat_nothing_of_the_request(shared_open: ServerProcess) -> None:
    """Header injection: a name echoed into a header with its line end splits the response for the cache in front."""
    body = json.dumps({"channel": "test", "id": "a\r\nSet-Cookie: x=1\r\n\r\n<script>"}).encode()
    answer = ask(shared_open.port, *post(b"/api/broadcast", body))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers.keys() <= {"date", "content-length", "content-type", "connection"}
