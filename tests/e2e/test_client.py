"""rtm.js in a real browser against the real server: what the demo page does not need."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from playwright.async_api import Browser, Page

from tests.support.chromium import SERVER_AWAY, open_tab
from tests.support.server import SECURED, ServerProcess, run_server
from tests.support.tokens import make_token

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

# Listens and notes what comes as "channel/value"; gaps, refusals, states and who is there beside it.
_LISTEN = """({ name, channel, url, token, mint, presence }) => {
    const noted = (window[name] = { messages: [], gaps: [], errors: [], states: [], presence: [], types: [] });
    rtm.trace((frame) => frame.url === url && noted.types.push(JSON.parse(frame.text).type));
    const getToken = mint ? () => window.mint() : undefined;
    const connection = (noted.connection = rtm.connect({ url, token, getToken, scope: 'test' }));
    connection.onState(({ state, code }) => noted.states.push(state + ' ' + code));
    connection.subscribe(channel, {
        onPublication: (publication) => noted.messages.push(publication.channel + '/' + publication.payload),
        onGap: (gap) => noted.gaps.push(gap),
        onError: (refusal) => noted.errors.push(refusal.code),
        ...(presence && { onPresence: ({ names, joined, left }) => noted.presence.push({ names, joined, left }) }),
    });
}"""


@pytest.fixture
def secured(tmp_path: Path, demo_server: ServerProcess) -> Iterator[ServerProcess]:
    """A secured server that pages of the demo's server may connect to."""
    settings = {"allowed_origins": demo_server.url, "token_warning_s": 4, "ping_interval_s": 1}
    with run_server(tmp_path / "secured", **SECURED, **settings) as server:
        yield server


@contextlib.asynccontextmanager
async def client_page(browser: Browser, demo_server: ServerProcess, *, may_complain: str = "") -> AsyncIterator[Page]:
    """A page that has loaded the client and listens to nothing of interest."""
    async with open_tab(browser, may_complain=may_complain) as tab:
        await tab.goto(f"{demo_server.url}/demo/page?session=9")
        yield tab


async def listen(tab: Page, server: ServerProcess, name: str, channel: str, **options: Any) -> None:
    await tab.evaluate(_LISTEN, {"name": name, "channel": channel, "url": server.ws_url, **options})


async def until(tab: Page, expression: str) -> None:
    """Wait for a JavaScript function to return something true."""
    await tab.wait_for_function(expression, timeout=15_000)


def ends_at(token: str) -> int:
    """Seconds since 1970."""
    return int(jwt.decode(token, options={"verify_signature": False})["exp"])


def publish(server: ServerProcess, channel: str, payload: Any) -> None:
    with server.client() as http:
        assert http.post("/api/broadcast", json={"channel": channel, "payload": payload}).status_code == 200


async def test_a_token_opens_all_that_it_grants_and_nothing_else(
    browser: Browser, demo_server: ServerProcess, secured: ServerProcess
) -> None:
    async with client_page(browser, demo_server) as tab:
        await listen(tab, secured, "all", "", token=make_token("SCOTT", "app:*"))
        await until(tab, "() => all.connection.state === 'connected'")
        await listen(tab, secured, "foreign", "other", token=make_token("SCOTT", "app:*"))
        await until(tab, "() => foreign.errors.length")
        for channel in ("app:1", "other", "user:KING", "user:SCOTT", "app:2"):
            publish(secured, channel, "x")
        await until(tab, "() => all.messages.length === 3")

        assert await tab.evaluate("all.messages") == ["app:1/x", "user:SCOTT/x", "app:2/x"]
        assert await tab.evaluate("foreign.errors") == ["forbidden"]
        assert await tab.evaluate("foreign.connection === all.connection")


async def test_a_revoked_user_is_cut_off_and_stays_away(
    browser: Browser, demo_server: ServerProcess, secured: ServerProcess
) -> None:
    async with client_page(browser, demo_server) as tab:
        await listen(tab, secured, "mine", "app:1", token=make_token("SCOTT", "app:*"))
        await until(tab, "() => mine.connection.state === 'connected'")
        with secured.client() as http:
            assert http.post("/api/revoke", json={"user": "SCOTT"}).json()["connections"] == 1
        await until(tab, "() => mine.connection.state === 'closed'")

        assert await tab.evaluate("mine.states.at(-1)") == "closed 4503"


async def test_a_token_is_renewed_before_and_after_its_end(
    browser: Browser, demo_server: ServerProcess, secured: ServerProcess
) -> None:
    minted: list[str] = []

    def mint() -> str:
        minted.append(make_token("SCOTT", "app:*", ttl_s=600 if minted else 5))
        return minted[-1]

    async with client_page(browser, demo_server) as tab:
        await tab.expose_function("mint", mint)
        expired = make_token("SCOTT", "app:*", ttl_s=-600)
        await listen(tab, secured, "mine", "app:1", token=expired, mint=True)
        await until(tab, "() => mine.connection.state === 'connected'")
        assert len(minted) == 1
        # The server warns at once, the client refreshes on the same socket, and outlives the first token.
        await until(tab, "() => mine.types.includes('refreshed')")
        await until(tab, f"() => Date.now() / 1000 > {ends_at(minted[0]) + 2}")
        publish(secured, "app:1", "after the end of the first token")
        await until(tab, "() => mine.messages.length")

        assert len(minted) == 2
        assert await tab.evaluate("mine.states") == ["disconnected 4001", "connecting 0", "connected 0"]


async def test_a_page_of_a_foreign_origin_never_connects(
    browser: Browser, demo_server: ServerProcess, tmp_path: Path
) -> None:
    with run_server(tmp_path / "strict", **SECURED, allowed_origins="https://apex.example.com") as strict:
        async with client_page(browser, demo_server, may_complain=SERVER_AWAY) as tab:
            await listen(tab, strict, "mine", "app:1", token=make_token("SCOTT", "app:*"))
            await until(tab, "() => mine.states.filter((state) => state.startsWith('disconnected')).length === 2")
            assert not [state for state in await tab.evaluate("mine.states") if state.startswith("connected")]


async def test_overlapping_listeners_lose_and_repeat_nothing_over_restarts(
    browser: Browser, demo_server: ServerProcess, tmp_path: Path
) -> None:
    with run_server(tmp_path / "busy") as busy:
        async with client_page(browser, demo_server, may_complain=SERVER_AWAY) as tab:
            await listen(tab, busy, "wide", "a:*")
            await listen(tab, busy, "exact", "a:1")
            await listen(tab, busy, "greedy", "")
            await until(tab, "() => wide.types.filter((type) => type === 'subscribed').length === 3")
            sent: list[str] = []

            async def send(*values: str) -> None:
                for number, value in enumerate(values):
                    channel = f"a:{number % 2 + 1}"
                    publish(busy, channel, value)
                    sent.append(f"{channel}/{value}")

            for round_number in range(4):
                await send(*(f"missed {round_number}.{number}" for number in range(5)))
                for name in ("wide", "greedy"):
                    await until(tab, f"() => {name}.messages.length >= {len(sent)}")
                await send(f"live {round_number}.1", f"live {round_number}.2")
                await until(tab, f"() => wide.messages.length >= {len(sent)}")
                busy.restart()

            for name in ("wide", "exact", "greedy"):
                got = await tab.evaluate(f"{name}.messages")
                for channel in ("a:1/", "a:2/"):
                    wanted = [message for message in sent if message.startswith(channel)]
                    if (name, channel) == ("exact", "a:2/"):
                        wanted = []
                    assert [message for message in got if message.startswith(channel)] == wanted, name
                assert await tab.evaluate(f"{name}.gaps") == [], name


async def test_who_is_here_comes_and_goes(browser: Browser, demo_server: ServerProcess, tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text('[[namespaces]]\nprefix = "chat:"\npresence = true\n')
    settings = {"allowed_origins": demo_server.url, "presence_interval_s": 0.1, "config": config}
    with run_server(tmp_path / "chat", **SECURED, **settings) as chat:
        async with client_page(browser, demo_server) as tab:
            await listen(tab, chat, "scott", "chat:1", token=make_token("SCOTT", "chat:*"), presence=True)
            await until(tab, "() => scott.presence.length")
            async with client_page(browser, demo_server) as other:
                await listen(other, chat, "king", "chat:1", token=make_token("KING", "chat:*"), presence=True)
                await until(tab, "() => scott.presence.at(-1).names.join() === 'KING,SCOTT'")
                assert await tab.evaluate("scott.presence.at(-1).joined") == ["KING"]
                assert await other.evaluate("king.presence[0].names") == ["KING", "SCOTT"]
            await until(tab, "() => scott.presence.at(-1).names.join() === 'SCOTT'")
            assert await tab.evaluate("scott.presence.at(-1).left") == ["KING"]
