"""Tokens on the real server: what they grant, what is refused, and how a connection ends with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server import SECURED, ServerProcess, run_server
from tests.support.tokens import make_token
from tests.support.wire import wire


@pytest.mark.parametrize(
    ("grant", "granted", "refused"),
    [
        ("app", ["app"], ["app2", "ap", "APP", "app*", "*"]),
        ("app:*", ["app:1", "app:", "app:*", "app:100:*"], ["app", "ap*", "*", "App:1"]),
        ("*", ["anything", "*", "a*"], ["user:KING"]),
        ("user:*", ["user:*"], ["user:KING"]),
        ("user:KING", ["user:KING"], ["user:KIN", "user:KING*"]),
        ("", ["user:SCOTT"], ["user:SCOTT*", "user:*", "user:", "user:scott", "*"]),
    ],
)
async def test_a_token_grants_what_it_names_and_nothing_else(
    shared_secured: ServerProcess, grant: str, granted: list[str], refused: list[str]
) -> None:
    token = make_token("SCOTT", *([grant] if grant else []))
    async with wire(shared_secured.ws_url, token=token) as client:
        for name in granted:
            await client.subscribe(name)
        for name in refused:
            answer = await client.ask(type="subscribe", channel=name)
            assert (answer["type"], answer["code"]) == ("error", "forbidden"), name


async def test_nobody_hears_another_users_channel_through_a_wildcard(shared_secured: ServerProcess, user: str) -> None:
    other = f"{user}X"
    async with wire(shared_secured.ws_url, token=make_token(user, "*")) as client:
        await client.subscribe("user:*")
        await client.subscribe("*")
        with shared_secured.client() as http:
            for name in (f"user:{other}", f"user:{user}", "user:", "user:*", f"user:{user}:", f"public:{user}"):
                assert http.post("/api/broadcast", json={"channel": name}).status_code == 200
        assert [p["channel"] for p in await client.publications(2)] == [f"user:{user}", f"public:{user}"]
        await client.nothing_waits()


async def test_an_exact_grant_shares_a_users_channel(shared_secured: ServerProcess, user: str) -> None:
    async with wire(shared_secured.ws_url, token=make_token("ASSISTANT", f"user:{user}")) as client:
        await client.subscribe(f"user:{user}")
        with shared_secured.client() as http:
            http.post("/api/broadcast", json={"channel": f"user:{user}"})
        assert len(await client.publications(1)) == 1


# Made when the test runs: a suite may take longer than a token lives.
BAD_TOKENS: dict[str, tuple[Callable[[], str | None], str, int]] = {
    "absent": (lambda: None, "unauthorized", 4501),
    "empty": (lambda: "", "unauthorized", 4501),
    "no JWT": (lambda: "nonsense", "unauthorized", 4501),
    "expired": (lambda: make_token("SCOTT", "*", ttl_s=-60), "token_expired", 4001),
    "signed by another": (lambda: make_token("SCOTT", "*", secret="x" * 32), "unauthorized", 4501),
    "unsigned": (lambda: make_token("SCOTT", "*").rsplit(".", 1)[0] + ".", "unauthorized", 4501),
    "without exp": (lambda: make_token("SCOTT", "*", exp=None), "unauthorized", 4501),
    "without sub": (lambda: make_token("SCOTT", "*", sub=None), "unauthorized", 4501),
    "for nobody": (lambda: make_token("", "*"), "unauthorized", 4501),
    "too long": (lambda: make_token("SCOTT", "*", ttl_s=86400 * 2), "unauthorized", 4501),
    "from the future": (lambda: make_token("SCOTT", "*", iat=time.time() + 60), "unauthorized", 4501),
    "not valid yet": (lambda: make_token("SCOTT", "*", nbf=time.time() + 60), "unauthorized", 4501),
    "channels no list": (lambda: make_token("SCOTT", channels="*"), "unauthorized", 4501),
    "channels of numbers": (lambda: make_token("SCOTT", channels=[1]), "unauthorized", 4501),
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
async def test_a_bad_token_gets_an_error_and_a_close(shared_secured: ServerProcess, kind: str) -> None:
    make, code, close = BAD_TOKENS[kind]
    token = make()
    async with wire(shared_secured.ws_url) as client:
        answer = await client.ask(type="connect", token=token, id=1)
        assert (answer["type"], answer["id"], answer["code"]) == ("error", 1, code)
        assert not token or token not in answer["message"]
        assert await client.close_code() == close


@pytest.mark.slow
async def test_a_connection_is_warned_then_ends_with_its_token(tmp_path: Path) -> None:
    with run_server(tmp_path, **SECURED, token_warning_s=2, clock_leeway_s=0) as server:
        token = make_token("SCOTT", "test", ttl_s=3)
        async with wire(server.ws_url, token=token) as client:
            warning = await client.receive()
            assert warning["type"] == "expiring"
            assert time.time() <= warning["expiresAt"] + 1
            told = await client.receive()
            assert (told["type"], told["code"]) == ("error", "token_expired")
            assert await client.close_code() == 4001
            assert time.time() >= warning["expiresAt"]


@pytest.mark.slow
async def test_refresh_keeps_the_connection_beyond_the_first_token(tmp_path: Path) -> None:
    with run_server(tmp_path, **SECURED, token_warning_s=0, clock_leeway_s=0) as server:
        first = make_token("SCOTT", "test", ttl_s=2)
        async with wire(server.ws_url, token=first) as client, wire(server.ws_url, token=first) as witness:
            await client.subscribe("test")
            newer = make_token("SCOTT", "test", ttl_s=60)
            answer = await client.ask(type="refresh", token=newer, id=4)
            assert (answer["type"], answer["id"], answer["channels"]) == ("refreshed", 4, ["user:SCOTT", "test"])
            assert (await witness.receive())["code"] == "token_expired"
            with server.client() as http:
                http.post("/api/broadcast", json={"channel": "test"})
            assert len(await client.publications(1)) == 1


async def test_refresh_with_fewer_channels_ends_what_is_no_longer_granted(
    shared_secured: ServerProcess, channel: str, user: str
) -> None:
    async with wire(shared_secured.ws_url, token=make_token(user, f"{channel}*")) as client:
        for name in (f"{channel}-a", f"{channel}-b", f"{channel}-*"):
            await client.subscribe(name)
        answer = await client.ask(type="refresh", token=make_token(user, f"{channel}-a"))
        assert answer["type"] == "refreshed"
        ended = [await client.receive(), await client.receive()]
        assert {(e["channel"], e["code"]) for e in ended} == {
            (f"{channel}-b", "forbidden"),
            (f"{channel}-*", "forbidden"),
        }
        with shared_secured.client() as http:
            for name in ("b", "a"):
                http.post("/api/broadcast", json={"channel": f"{channel}-{name}"})
        assert [p["channel"] for p in await client.publications(1)] == [f"{channel}-a"]


async def test_refresh_cannot_change_who_a_connection_is(shared_secured: ServerProcess, user: str) -> None:
    async with wire(shared_secured.ws_url, token=make_token(user, sid="1")) as client:
        for token in (make_token(f"{user}2", sid="1"), make_token(user, sid="2"), make_token(user)):
            assert (await client.ask(type="refresh", token=token))["code"] == "forbidden"
        assert (await client.ask(type="connect", token=make_token(user)))["code"] == "bad_request"
        await client.subscribe(f"user:{user}")


async def test_a_bad_token_in_refresh_ends_the_connection(shared_secured: ServerProcess, user: str) -> None:
    async with wire(shared_secured.ws_url, token=make_token(user)) as client:
        assert (await client.ask(type="refresh", token="nonsense"))["code"] == "unauthorized"
        assert await client.close_code() == 4501


@pytest.mark.slow
async def test_who_does_not_connect_in_time_is_closed(tmp_path: Path) -> None:
    with run_server(tmp_path, **SECURED, connect_timeout_s=0.5) as server:
        async with wire(server.ws_url) as client:
            assert (await client.receive())["code"] == "unauthorized"
            assert await client.close_code() == 4004


async def test_a_recovering_client_gets_nothing_that_its_new_token_does_not_grant(
    shared_secured: ServerProcess, channel: str, user: str
) -> None:
    async with wire(shared_secured.ws_url, token=make_token(user, channel)) as client:
        since = await client.subscribe(channel)
    with shared_secured.client() as http:
        http.post("/api/broadcast", json={"channel": channel})
    async with wire(shared_secured.ws_url, token=make_token(user)) as client:
        position = {"epoch": since["epoch"], "offset": since["offset"]}
        assert (await client.ask(type="subscribe", channel=channel, since=position))["code"] == "forbidden"
        await client.nothing_waits()


async def test_connections_of_a_user_are_bounded(tmp_path: Path) -> None:
    with run_server(tmp_path, **SECURED, max_connections_per_user=2) as server:
        token = make_token("SCOTT")
        async with wire(server.ws_url, token=token), wire(server.ws_url, token=token):
            async with wire(server.ws_url) as third:
                assert (await third.ask(type="connect", token=token))["code"] == "limit_exceeded"
                assert await third.close_code() == 4006
            async with wire(server.ws_url, token=make_token("KING")) as other:
                await other.subscribe("user:KING")
        async with wire(server.ws_url, token=token) as again:
            await again.subscribe("user:SCOTT")
