"""Attacks on people who look at a page of the server: there are few pages, and none in secured mode."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.raw import HOST, ask, post
from tests.support.server import ServerProcess, run_server

CLIENT = Path(__file__).resolve().parent.parent.parent / "client-js"


@pytest.mark.parametrize(
    "path", ["/demo", "/demo/page", "/admin", "/console", "/console/api/about", "/docs", "/static/x.js", "/favicon.ico"]
)
def test_secured_mode_serves_no_page(shared_secured: ServerProcess, path: str) -> None:
    """No page, no login form, no default password: what is not there is not framed, forged or guessed."""
    answer = ask(shared_secured.port, b"GET ", path.encode(), b" HTTP/1.1\r\n", HOST, b"\r\n")
    assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_the_demo_can_be_neither_framed_nor_fed_by_another_site(tmp_path: Path) -> None:
    """Clickjacking and cross-site posts against the one page that open mode has."""
    with run_server(tmp_path, demo="true") as server:
        page = ask(server.port, b"GET /demo/page HTTP/1.1\r\n", HOST, b"\r\n")
        policy = page.headers["content-security-policy"]
        assert "frame-ancestors 'self'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        form = b"p_request=PLUGIN=BROADCAST_HELLO&x01=hello"
        forged = ask(server.port, *post(b"/demo/ajax", form, b"Origin: https://evil.example\r\n"))
        assert (forged.status, forged.json["code"]) == (403, "open_mode")
        assert ask(server.port, *post(b"/demo/ajax", form)).json["ok"] is True


def test_the_browser_client_never_makes_html_of_what_it_received() -> None:
    """A payload that becomes markup runs in the page of everybody who listens."""
    sinks = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.html\(|\$\(|setTimeout\(['\"]"
    )
    assert sinks.search("element.innerHTML = x")
    for path in sorted(CLIENT.glob("*.js")):
        assert sinks.findall(path.read_text(encoding="utf-8")) == [], path.name
