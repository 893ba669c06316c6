"""The main job in one test each way: what is posted arrives, in both modes, and survives a kill."""

from __future__ import annotations

from tests.support.server import ServerProcess
from tests.support.tokens import make_token
from tests.support.wire import wire


async def test_a_post_arrives_at_a_subscriber_and_nobody_else(open_server: ServerProcess) -> None:
    async with wire(open_server.ws_url) as subscriber, wire(open_server.ws_url) as other:
        subscribed = await subscriber.subscribe("test", id=1)
        await other.subscribe("elsewhere")
        with open_server.client() as http:
            answer = http.post("/api/broadcast", json={"channel": "test", "eventName": "ping", "payload": {"a": "ü"}})

        (publication,) = await subscriber.publications(1)
        assert answer.status_code == 200
        assert publication == {
            "channel": "test",
            "eventName": "ping",
            "payload": {"a": "ü"},
            "id": answer.json()["id"],
            "epoch": subscribed["epoch"],
            "offset": 1,
        }
        await other.nothing_waits()


async def test_secured_mode_delivers_what_the_token_grants(secured_server: ServerProcess) -> None:
    async with wire(secured_server.ws_url, token=make_token("SCOTT", "app:*")) as scott:
        assert (await scott.ask(type="subscribe", channel="other", id=7))["code"] == "forbidden"
        await scott.subscribe("app:1")
        await scott.subscribe("user:SCOTT")
        with secured_server.client() as http:
            for channel in ("app:1", "app:2", "user:SCOTT", "user:KING"):
                assert http.post("/api/broadcast", json={"channel": channel}).status_code == 200

        assert [p["channel"] for p in await scott.publications(2)] == ["app:1", "user:SCOTT"]
        await scott.nothing_waits()


async def test_a_client_recovers_over_a_kill_of_the_server(open_server: ServerProcess) -> None:
    async with wire(open_server.ws_url) as before:
        since = await before.subscribe("test")
    with open_server.client() as http:
        for number in range(5):
            http.post("/api/broadcast", json={"channel": "test", "payload": number})
    open_server.restart()

    async with wire(open_server.ws_url) as after:
        position = {"epoch": since["epoch"], "offset": since["offset"]}
        answer = await after.subscribe("test", since=position)
        assert answer["recovered"] is True
        assert [p["payload"] for p in await after.publications(5)] == [0, 1, 2, 3, 4]
        await after.nothing_waits()
