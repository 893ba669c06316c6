"""The HTTP server before the page engine, and the whole instance with its real apex-rtm server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx

from apex_rtm import demo
from tests.db.sandbox.values import OracleError
from tests.support.apex.database import ApexSession, Database, message_of
from tests.support.apex.instance import Instance, RefusedError
from tests.support.apex.markup import Frame, text_of
from tests.support.apex.page import Page
from tests.support.apex.plugin import imported_plugins
from tests.support.server import API_KEY, JWT_SECRET, SECURED, ServerProcess

_STATIC = Path(demo.__file__).parent / "static"
_LIBRARIES = ("/i/jquery.js", "/i/apex.js", "/i/engine.js")
_JAVASCRIPT = "text/javascript; charset=utf-8"


def _libraries() -> dict[str, tuple[str, bytes]]:
    """Files that every page loads, by path."""
    files = {
        "/i/jquery.js": demo._find_jquery(),
        "/i/apex.js": _STATIC / "apex.js",
        "/i/engine.js": Path(__file__).with_name("engine.js"),
        "/i/page.css": _STATIC / "page.css",
        "/i/engine.css": Path(__file__).with_name("engine.css"),
    }
    kinds = {".js": _JAVASCRIPT, ".css": "text/css"}
    return {path: (kinds[file.suffix], file.read_bytes()) for path, file in files.items()}


class Apex:
    """An APEX instance with its database and the server that it talks to; tests add pages and log users in."""

    def __init__(self, folder: Path, scripts: list[Path], settings: dict[str, Any]) -> None:
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        defaults = {**SECURED, "allowed_origins": self.url}
        self.server = ServerProcess(folder / "server", **{**defaults, **settings})
        self.database = Database(folder / "database", scripts)
        self.instance = Instance(self.database)
        self.libraries = _libraries()
        self.plugin_files = {
            f"/plugin/{plugin.name}/{name}": content
            for plugin in imported_plugins().values()
            for name, content in plugin.files.items()
        }
        self._thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def start(self) -> None:
        """Start the server, configure the database for it, and open the door."""
        self.server.start()
        self._thread.start()
        self.configure(base_url=self.server.url, api_key=API_KEY, token_secret=JWT_SECRET)

    def close(self) -> None:
        """Stop everything."""
        self.http.shutdown()
        self.http.server_close()
        self._thread.join(10)
        if self.server.process is not None:
            self.server.kill()
        self.database.close()

    # --- for tests

    def configure(self, **settings: str | int | None) -> None:
        """Store settings of the database part."""
        self.database.run(lambda: self.database.session.configure(**settings))

    def add(self, *pages: Page) -> None:
        """Put pages into the application."""
        self.instance.pages.update({page.number: page for page in pages})

    def login(self, user: str, **application_items: str) -> int:
        """A new APEX session of ``user``; gives its number."""
        number = self.instance.login(user)
        self.instance.sessions[number].items.update(application_items)
        return number

    def link(self, page: int, session: int, **items: str) -> str:
        """The address of a page, with items as in ``f?p=``."""
        names, values = ",".join(items), ",".join(items.values())
        return f"{self.url}/ords/f?p={self.instance.app_id}:{page}:{session}:::::{names}:{quote(values)}"

    def call(self, name: str, **arguments: Any) -> Any:
        """Call ``package.subprogram`` as a session of the database outside APEX does, and commit."""

        def work() -> Any:
            self.database.session.apex.context = {}
            result = self.database.session.call(name, **arguments)
            self.database.commit()
            return result

        return self.database.run(work)

    def plsql(self, code: str) -> None:
        """Run a block as a session of the database outside APEX does, and commit."""

        def work() -> None:
            self.database.session.apex.context = {}
            self.database.session.machine.block(code)
            self.database.commit()

        self.database.run(work)

    def drain(self, *, at_once: bool = False) -> None:
        """Run the job of the outbox, ``at_once`` even while it waits after a failure."""

        def work() -> None:
            session = self.database.session
            if at_once:
                past = "2000-01-01T00:00:00.000000+00:00"
                session.machine.database.change("update rtm_outbox_drain set resume_at = ?", past)
                session.machine.database.change("update rtm_outbox set next_attempt_at = ?", past)
                session.commit()
            session.call("rtm_job.drain", p_run_s=0)

        self.database.run(work)

    def log(self) -> list[dict[str, Any]]:
        """RTM_LOG, oldest first."""
        return self.database.run(self.database.session.log)

    def publish(self, channel: str, payload: Any = None, **members: Any) -> None:
        """Publish past the database."""
        with self.server.client() as http:
            answer = http.post("/api/broadcast", json={"channel": channel, "payload": payload, **members})
        assert answer.status_code == 200, answer.text

    async def heard(self, channel: str, *users: str, connections: int | None = None) -> None:
        """Wait until each of ``users`` has a connection (or just so many) that takes ``channel``."""
        with self.server.client() as http:
            async with asyncio.timeout(15):
                for user in users:
                    question = {"channel": channel, "user": user}
                    while not _is(connections, http.get("/api/connections", params=question)):  # noqa: ASYNC110
                        await asyncio.sleep(0.02)  # the server is another process: there is no event to wait for

    # --- requests

    def policy(self, nonce: str) -> str:
        """A strict policy as docs/apex.md describes it: no inline code but what carries the nonce, no eval."""
        websocket = self.server.ws_url.rstrip("/")
        return (
            f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self'; img-src 'self' data:; "
            f"connect-src 'self' {websocket}; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; "
            "form-action 'self'"
        )

    def get(self, target: str) -> tuple[int, dict[str, str], bytes]:
        """Answer a GET."""
        url = urlsplit(target)
        if url.path in self.libraries:
            kind, content = self.libraries[url.path]
            return 200, {"Content-Type": kind}, content
        if url.path in self.plugin_files:
            return 200, {"Content-Type": _JAVASCRIPT}, self.plugin_files[url.path]
        if url.path != "/ords/f":
            return 404, {}, b"Not found"
        parts = [*parse_qs(url.query).get("p", [""])[0].split(":", 8), *[""] * 8]
        caller = self.instance.session(parts[2])
        names, values = parts[7].split(","), parts[8].split(",")
        items = {name: value for name, value in zip(names, values, strict=False) if name}
        return self.page(self.instance.pages[int(parts[1])], caller, items)

    def page(
        self, page: Page, caller: ApexSession, items: dict[str, str], success: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        """Answer with a page."""
        nonces: list[str] = []

        def frame(scripts: tuple[str, ...], nonce: str) -> Frame:
            nonces.append(nonce)
            urls = (*_LIBRARIES, *(f"/plugin/{name}" for name in scripts))
            app_id, number = self.instance.app_id, caller.number
            return Frame(
                app_id, number, caller.user, "/ords/wwv_flow.ajax", "/ords/wwv_flow.accept", urls, nonce, success
            )

        self.instance.set_items(page, caller, items)
        try:
            text = self.instance.render(page, caller, frame)
        except OracleError as error:
            return error_page(message_of(error))
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": self.policy(nonces[0])}
        return 200, headers, text.encode()

    def post(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Answer a POST."""
        form = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        if path == "/ords/wwv_flow.ajax":
            content = json.dumps(self.instance.ajax(form)).encode()
            return 200, {"Content-Type": "application/json"}, content
        success, error = self.instance.accept(form)
        if error:
            return error_page(error)
        caller = self.instance.session(form["p_instance"])
        return self.page(self.instance.pages[int(form["p_flow_step_id"])], caller, {}, success)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        apex = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 20

            def do_GET(self) -> None:
                self._answer(lambda: apex.get(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(lambda: apex.post(self.path, body))

            def _answer(self, make: Any) -> None:
                try:
                    status, headers, content = make()
                except RefusedError as error:
                    status, headers, content = 403, *error_page(str(error))[1:]
                self.send_response(status)
                for name, value in {
                    **headers,
                    "Content-Length": str(len(content)),
                    "Cache-Control": "no-store",
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_values: object) -> None:
                """Say nothing."""

        return Handler


def error_page(message: str) -> tuple[int, dict[str, str], bytes]:
    """What APEX shows instead of a page."""
    text = f'<link rel="icon" href="data:,"><p id="error">{text_of(message)}</p>'
    return 200, {"Content-Type": "text/html; charset=utf-8"}, text.encode()


def _is(wanted: int | None, answer: httpx.Response) -> bool:
    count = len(answer.json()["connections"])
    return count > 0 if wanted is None else count == wanted


@contextlib.contextmanager
def run_apex(folder: Path, *scripts: Path, **settings: Any) -> Iterator[Apex]:
    """An instance for the time of a ``with`` block. ``settings`` are the server's, ``scripts`` are run after db/."""
    apex = Apex(folder, list(scripts), settings)
    try:
        apex.start()
        yield apex
    finally:
        apex.close()
