"""Requests are counted by what they are, never by what somebody typed."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from apex_rtm.counts import Counts
from apex_rtm.edge.meter import Meter


async def answer(_request: Request) -> Response:
    return PlainTextResponse("yes")


async def also(_request: Request) -> Response:
    return PlainTextResponse("yes", 201)


async def page(_request: Request) -> Response:
    return PlainTextResponse("page")


async def fail(_request: Request) -> Response:
    raise RuntimeError("a fault")


@pytest.fixture
def counts() -> Counts:
    return Counts()


def client(counts: Counts) -> httpx.AsyncClient:
    import apex_rtm.edge.http  # noqa: F401, PLC0415 - registers the convertor of channels

    routes = [
        Route("/a", answer),
        Route("/channels/{channel:channel}/history", also, methods=["POST"]),
        Route("/demo/page.css", page),
        Route("/fail", fail),
    ]
    meter = Meter(Starlette(routes=routes), counts, routes)
    return httpx.AsyncClient(transport=httpx.ASGITransport(meter, raise_app_exceptions=False), base_url="http://test")


async def test_routes_are_named_by_their_templates_and_folders(counts: Counts) -> None:
    async with client(counts) as http:
        await http.get("/a?x=1")
        await http.post("/channels/orders/17/history")
        await http.get("/demo/page.css")

    assert dict(counts.requests) == {("/a", "2xx"): 1, ("/channels/{channel}/history", "2xx"): 1, ("/demo", "2xx"): 1}


async def test_failures_are_counted_by_the_class_of_their_status(counts: Counts) -> None:
    async with client(counts) as http:
        await http.delete("/a")
        await http.get("/fail")

    assert dict(counts.requests) == {("/a", "4xx"): 1, ("/fail", "5xx"): 1}


async def test_a_thousand_invented_paths_are_one_label(counts: Counts) -> None:
    async with client(counts) as http:
        for number in range(1000):
            await http.get(f"/nothing/{number}")

    assert dict(counts.requests) == {("other", "4xx"): 1000}
    assert counts.request_times["other"].count == 1000
