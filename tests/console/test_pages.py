"""What the console serves: files with a strict policy, figures for operators, and nothing where it has no key."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from apex_rtm import console
from apex_rtm.console import CHART_FILES, find_charts, page_routes
from tests.support.server import SECURED, ServerProcess, run_server
from tests.support.tokens import make_token
from tests.support.wire import wire

STATIC = Path(console.__file__).parent / "static"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One in open mode, whose console needs no login."""
    with run_server(tmp_path_factory.mktemp("console")) as running:
        yield running


class Page(httpx.Client):
    """Asks as the console's own page does."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__(base_url=server.url, headers={"Origin": server.url})


@pytest.fixture
def http(server: ServerProcess) -> Iterator[Page]:
    with Page(server) as page:
        yield page


def test_every_page_has_a_policy_that_lets_nothing_else_in(http: Page) -> None:
    paths = ["/console", "/console/", "/console/api/session", "/console/api/about"]
    paths += [f"/console/static/{path.name}" for path in STATIC.iterdir() if path.name != "console.html"]
    for path in paths:
        answer = http.get(path)
        assert answer.status_code == 200, path
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';"), path
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert http.get("/console/static/../__init__.py").status_code == 404


def test_nothing_comes_from_elsewhere_and_nothing_is_inline() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.", text), path.name
    page = (STATIC / "console.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", page)
    for path in STATIC.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", path.read_text()), path


def test_every_file_that_the_page_names_is_there() -> None:
    page = (STATIC / "console.html").read_text(encoding="utf-8")
    named = set(re.findall(r'"/console/static/([^"]+)"', page))

    assert named == {path.name for path in STATIC.iterdir()} - {"console.html"}


def test_it_says_which_node_it_speaks_of(http: Page) -> None:
    about = http.get("/console/api/about").json()

    assert (about["node"], about["mode"], about["engine"]) == (socket.gethostname(), "open", "sqlite")
    assert about["hasCharts"] is (find_charts() is not None)


async def test_figures_come_to_operators_over_the_websocket(server: ServerProcess, http: Page) -> None:
    token = http.post("/console/api/pass").json()["token"]
    columns = http.get("/console/api/figures").json()["columns"]
    async with wire(server.ws_url) as somebody, wire(server.ws_url, token=token) as operator:
        await somebody.subscribe("a")
        frame = await operator.receive()
        row = dict(zip(columns, frame["row"], strict=True))
        await somebody.nothing_waits()

    assert frame["type"] == "figures"
    assert row["connections"] == 1
    assert abs(row["at"] - time.time()) < 5
    kept = http.get("/console/api/figures").json()
    assert kept["seconds"][-1][0] >= row["at"]


async def test_users_are_listed_and_searched(tmp_path: Path) -> None:
    key = "a-key-for-the-console"
    with run_server(tmp_path / "data", **SECURED, console_key=key) as server, Page(server) as http:
        assert http.post("/console/api/login", json={"key": key}).status_code == 200
        first, second = make_token("SCOTT", "a"), make_token("KING", "a")
        async with (
            wire(server.ws_url, token=first),
            wire(server.ws_url, token=first),
            wire(server.ws_url, token=second),
        ):
            users = http.get("/console/api/users").json()
            found = http.get("/console/api/users?search=kin").json()
            short = http.get("/console/api/users?limit=1").json()

    assert users["users"] == [{"user": "SCOTT", "connections": 2}, {"user": "KING", "connections": 1}]
    assert [user["user"] for user in found["users"]] == ["KING"]
    assert (len(short["users"]), short["more"], short["total"]) == (1, True, 2)


async def test_a_receipt_tells_what_became_of_a_message(server: ServerProcess, http: Page) -> None:
    assert http.get("/console/api/receipt?channel=none").json() == {"ok": True, "found": False}
    assert http.get("/console/api/receipt").json()["code"] == "channel_required"
    async with wire(server.ws_url) as client:
        await client.subscribe("r")
        published = http.post("/console/api/publish", json={"channel": "r", "payload": 1}).json()
        await client.publications(1)
        assert http.post("/console/api/ask?channel=r", json={}).json()["asked"] == 1
        await client.nothing_waits()
        answer = http.get(f"/console/api/receipt?channel=r&offset={published['offset']}").json()

    assert answer["found"] is True
    assert answer["message"]["id"] == published["id"]
    assert answer["counts"]["arrived"] == 1
    gone = http.get(f"/console/api/receipt?channel=r&id={published['id']}").json()
    assert [row["state"] for row in gone["connections"]] == ["arrived"]


def test_without_a_key_a_secured_server_has_no_console(secured_server: ServerProcess) -> None:
    with httpx.Client(base_url=secured_server.url) as http:
        answer = http.get("/console")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert "console_key" in answer.json()["message"]
        assert http.get("/console/api/session").status_code == 404


def test_an_api_key_is_no_console_key(secured_server: ServerProcess) -> None:
    with secured_server.client() as http:
        assert http.get("/console").status_code == 404


# ── the chart library ──


def test_charts_are_served_where_they_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "src" / "apex_rtm" / "console"
    package.mkdir(parents=True)
    monkeypatch.setattr(console, "_PACKAGE", package)
    assert find_charts() is None
    assert not [route for route in page_routes() if "/charts/" in getattr(route, "path", "")]

    installed = tmp_path / "node_modules" / "uplot" / "dist"
    for folder in (installed, package / "charts"):
        folder.mkdir(parents=True)
        (folder / CHART_FILES[0]).touch()
        (folder / CHART_FILES[1]).touch()
        assert find_charts() == folder
        assert [route.path for route in page_routes() if "/charts/" in getattr(route, "path", "")] == [  # type: ignore[attr-defined]
            f"/console/charts/{name}" for name in CHART_FILES
        ]
