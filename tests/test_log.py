"""The log: one line an event, and no secret in any of them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from apex_rtm.log import configure_logging, get_logger, hide_secrets
from tests.support.server import API_KEY, JWT_SECRET, ServerProcess
from tests.support.tokens import make_token
from tests.support.wire import wire


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in ("uvicorn", "websockets")}
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json() -> None:
    stream = io.StringIO()
    configure_logging("info", "json", stream)

    get_logger("apex_rtm.test").info("session.closed", ip="192.0.2.1", code=4002)

    (line,) = logged(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "session.closed", "ip": "192.0.2.1", "code": 4002, "level": "info"}


@pytest.mark.parametrize(
    ("log_format", "stream", "is_json"),
    [("auto", io.StringIO, True), ("auto", Terminal, False), ("text", io.StringIO, False), ("json", Terminal, True)],
)
def test_the_format_fits_who_reads_it(log_format: str, stream: type[io.StringIO], is_json: bool) -> None:
    out = stream()
    configure_logging("info", log_format, out)

    get_logger("apex_rtm.test").info("server.started")

    assert out.getvalue().startswith("{") is is_json
    assert "server.started" in out.getvalue()
    assert "\x1b[" not in out.getvalue()


def test_what_is_less_important_than_the_level_is_left_out() -> None:
    stream = io.StringIO()
    configure_logging("warning", "json", stream)
    logger = get_logger("apex_rtm.test")

    logger.info("quiet.info")
    logger.warning("loud.warning")

    assert [line["event"] for line in logged(stream)] == ["loud.warning"]


def test_the_lines_of_libraries_look_like_ours() -> None:
    stream = io.StringIO()
    configure_logging("debug", "json", stream)

    logging.getLogger("some.library").warning("disk %s", "slow", extra={"token": "abc"})
    logging.getLogger("uvicorn.error").info("startup is said by our own event")
    logging.getLogger("websockets.server").error("frames are nobody's business")

    (line,) = logged(stream)
    assert (line["event"], line["level"]) == ("disk slow", "warning")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_traceback_has_no_values(log_format: str) -> None:
    stream = io.StringIO()
    configure_logging("info", log_format, stream)

    def fail() -> None:
        secret = "hunter2-in-a-local"
        raise ValueError("broken", len(secret))

    try:
        fail()
    except ValueError:
        get_logger("apex_rtm.test").exception("request.failed", api_key="hunter2-in-a-field")

    assert "ValueError" in stream.getvalue()
    assert "in fail" in stream.getvalue() or '"fail"' in stream.getvalue()
    assert "hunter2-in-a-field" not in stream.getvalue()
    assert stream.getvalue().count("hunter2") == stream.getvalue().count('secret = "hunter2')  # the source line alone


@pytest.mark.parametrize("name", ["token", "new_token", "JWT_SECRET", "api_keys", "Authorization", "oracle_password"])
def test_a_field_whose_name_says_secret_is_blanked(name: str) -> None:
    assert hide_secrets(None, "info", {"event": "x", name: "abc", "user": "SCOTT"}) == {
        "event": "x", name: "[hidden]", "user": "SCOTT",
    }  # fmt: skip


async def test_a_running_server_logs_no_key_no_token_and_no_payload(secured_server: ServerProcess) -> None:
    """Refusals are where secrets like to leak: the wrong ones, too, are often only mistyped."""
    token, wrong_key, payload = make_token("SCOTT", "a"), "mistyped-api-key", "confidential-payload"
    secured_server.settings["log_level"] = "debug"
    secured_server.restart()
    with secured_server.client() as http:
        assert http.post("/api/broadcast", json={"channel": "a", "payload": payload}).status_code == 200
        assert http.post("/api/broadcast", headers={"X-API-Key": wrong_key}).status_code == 401
        assert http.post("/api/broadcast", content=b'{"channel": "' + payload.encode()).status_code == 400
        minted = http.post("/api/tokens", json={"user": "SCOTT", "channels": ["a"]}).json()["token"]
        assert http.post("/api/revoke", json={"user": "KING"}).status_code == 200
    async with wire(secured_server.ws_url) as client:
        await client.ask(type="connect", token=token[:-2])
    async with wire(secured_server.ws_url, token=token) as client:
        await client.subscribe("a")
        await client.ask(type="refresh", token=minted)
    secured_server.stop()

    log = "".join(secured_server.log)
    assert "rights.revoked" in log
    for secret in (API_KEY, JWT_SECRET, wrong_key, payload, token, token[:-2], minted):
        assert secret not in log
