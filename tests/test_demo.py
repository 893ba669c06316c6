"""The demo's routes: two pages, the real client, and a stand-in for the plug-in's callback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from apex_rtm import demo
from apex_rtm.demo import demo_routes
from apex_rtm.errors import ConfigurationError
from tests.support.server import ServerProcess, run_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with run_server(tmp_path_factory.mktemp("demo"), demo=True) as running:
        yield running


def test_the_pages_and_all_they_load_are_there(server: ServerProcess) -> None:
    with server.client() as http:
        for path in ("/demo", "/demo/page", "/demo/jquery.js", "/demo/client/rtm.js", "/demo/static/page.js"):
            answer = http.get(path)
            assert answer.status_code == 200, path
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert http.get("/demo/static/../../cli.py").status_code == 404


def test_every_file_of_the_client_is_served_as_it_is(server: ServerProcess) -> None:
    client = Path(__file__).parent.parent / "client-js"

    with server.client() as http:
        for path in client.glob("*.js"):
            assert http.get(f"/demo/client/{path.name}").content == path.read_bytes()


def test_the_button_takes_the_real_way_through_the_bridge(server: ServerProcess) -> None:
    form = {"p_request": "PLUGIN=BROADCAST_HELLO", "p_instance": "2", "x01": "Hello ü"}

    with server.client() as http:
        answer = http.post("/demo/ajax", data=form).json()
        (publication,) = http.get("/api/channels/test/history?limit=1").json()["publications"]

    assert answer["ok"] is True
    assert publication["payload"] == {"itemName": "P10_MESSAGE", "value": "Hello ü"}
    assert publication["meta"] == {"user": "KING", "appId": 100, "pageId": 10}
    assert (publication["eventName"], publication["id"]) == ("ping", answer["id"])


def test_a_session_that_nobody_has_speaks_for_nobody(server: ServerProcess) -> None:
    form = {"p_request": "PLUGIN=BROADCAST_HELLO", "p_instance": "3", "p_user": "SCOTT", "x01": "Hello"}

    with server.client() as http:
        assert http.post("/demo/ajax", data=form).json()["ok"] is True
        (publication,) = http.get("/api/channels/test/history?limit=1").json()["publications"]

    assert publication["meta"]["user"] == "nobody"


def test_the_console_that_the_page_links_to_is_there_without_a_login(server: ServerProcess) -> None:
    with server.client() as http:
        assert 'href="/console"' in http.get("/demo").text
        assert http.get("/console").status_code == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"p_request=PLUGIN%3DOTHER", "no such plug-in"), (b"", "no such plug-in"), (b"\xff=\xff", "no such plug-in"),
        (b"x01=" + b"x" * 70_000, "too large"),
    ],
)  # fmt: skip
def test_a_form_that_is_not_the_pages_is_refused(server: ServerProcess, body: bytes, words: str) -> None:
    with server.client() as http:
        assert words in http.post("/demo/ajax", content=body).json()["error"]


def test_without_the_flag_there_is_no_demo(open_server: ServerProcess) -> None:
    with open_server.client() as http:
        assert http.get("/demo").status_code == 404


# ── where files are missing or the bridge is gone ──


def test_without_jquery_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise ModuleNotFoundError

    for finder in (missing, lambda _name: None):
        monkeypatch.setattr(demo, "find_spec", finder)
        with pytest.raises(
            ConfigurationError, match=r"demo: jQuery is not installed: .* pip install 'XStatic-jQuery>=3.7'"
        ):
            demo_routes()


def test_in_a_wheel_the_client_is_inside_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "src" / "apex_rtm"
    package.mkdir(parents=True)
    monkeypatch.setattr(demo, "_PACKAGE", package)
    assert demo._find_client() == tmp_path / "client-js"

    (package / "client-js").mkdir()
    assert demo._find_client() == package / "client-js"


def test_a_bridge_that_refuses_or_is_gone_is_told_to_the_page(server: ServerProcess) -> None:
    host, port = httpx.URL(server.url).host, server.port

    assert demo._broadcast(host, port, {"channel": ""}) == {"error": "channel is required"}
    assert demo._broadcast(host, 1, {})["error"].startswith("the bridge did not answer: ")
    assert json.dumps(demo._broadcast(host, port, {"channel": "test"}))
