"""The dashboard and the alert rules speak of metrics and labels that a running server really has."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from apex_rtm.codes import HTTP_STATUS
from apex_rtm.relay.counts import Counts as RelayCounts
from tests.metrics.test_collect import Scraped
from tests.support.core import Core
from tests.support.server import SECURED, ServerProcess, run_server
from tests.support.tokens import make_token
from tests.support.wire import wire

ROOT = Path(__file__).parent.parent.parent
DASHBOARD = ROOT / "deploy" / "grafana" / "apex-rtm.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
PAGE = ROOT / "docs" / "metrics.md"
# What Prometheus adds to every sample, and the label of histograms.
ADDED = {"instance", "job", "le"}
_METRIC = re.compile(r"\b(?P<name>(?:apex_rtm|process)_\w+|up)\b(?:\{(?P<matchers>[^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"")
_GROUPS = re.compile(r"\b(?:by|on|without)\s*\(([^)]*)\)")

Metrics = dict[str, dict[str, set[str]]]


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Metrics:
    """Sample names of a server on which something has happened, with their labels and the values of those."""
    with run_server(tmp_path_factory.mktemp("dashboards"), **SECURED) as server:
        text = asyncio.run(_scrape_after_something(server))
    relay = "".join(line for line in asyncio.run(_scrape_relay()).splitlines(keepends=True) if "_relay_" in line)
    found: Metrics = {"up": {}}
    for family in text_string_to_metric_families(text + relay):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


async def _scrape_after_something(server: ServerProcess) -> str:
    async with wire(server.ws_url, token=make_token("SCOTT", "a")) as scott:
        since = await scott.subscribe("a")
    async with httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.post("/api/broadcast", json={"channel": "a"})).status_code == 401
        key = {"X-API-Key": SECURED["api_keys"]}
        assert (await http.post("/api/broadcast", headers=key, json={"channel": "a"})).status_code == 200
        async with wire(server.ws_url, token=make_token("SCOTT", "a")) as scott:
            await scott.subscribe("a", since={"epoch": since["epoch"], "offset": 0})
        async with asyncio.timeout(10):
            while True:
                text = (await http.get("/metrics", headers=key)).text
                if "apex_rtm_connections_closed_total{" in text:
                    return text
                await asyncio.sleep(0.05)


async def _scrape_relay() -> str:
    return Scraped(await Core().start(), RelayCounts()).text()


def expressions_of(node: Any) -> Iterator[str]:
    """Every query of the dashboard."""
    if isinstance(node, dict):
        if isinstance(node.get("expr"), str):
            yield node["expr"]
        for value in node.values():
            yield from expressions_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions_of(value)


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def faults(expression: str, metrics: Metrics) -> list[str]:
    """Say what an expression names that is not there."""
    found = []
    known: set[str] = set(ADDED)
    for match in _METRIC.finditer(expression):
        name = match["name"]
        if name not in metrics:
            found.append(f"{name} is no metric")
            continue
        known |= set(metrics[name])
        for label, operator, value in _MATCHER.findall(match["matchers"] or ""):
            if label not in set(metrics[name]) | ADDED:
                found.append(f"{name} has no label {label}")
            elif label == "code" and not set(value.split("|")) <= set(HTTP_STATUS):
                found.append(f"{name}: {value} are no codes")
            elif label == "recovered" and value not in metrics[name]["recovered"]:
                found.append(f"{name}: recovered is never {value} ({operator})")
    for group in _GROUPS.findall(expression):
        found += [f"nothing has a label {label}" for label in re.findall(r"\w+", group) if label not in known]
    if not _METRIC.search(expression):
        found.append("names no metric")
    return found


def test_the_dashboard_asks_for_what_is_there(metrics: Metrics) -> None:
    expressions = list(expressions_of(json.loads(DASHBOARD.read_text(encoding="utf-8"))))

    assert len(expressions) > 35
    assert {one: faults(one, metrics) for one in expressions if faults(one, metrics)} == {}


def test_the_alerts_ask_for_what_is_there(metrics: Metrics) -> None:
    found = rules()

    assert len(found) > 12
    assert {rule["alert"]: faults(rule["expr"], metrics) for rule in found if faults(rule["expr"], metrics)} == {}


def test_an_expression_that_is_wrong_is_found(metrics: Metrics) -> None:
    assert faults("rate(apex_rtm_publication_total[5m])", metrics) == ["apex_rtm_publication_total is no metric"]
    assert faults('apex_rtm_connections{user="x"}', metrics) == ["apex_rtm_connections has no label user"]
    assert faults("sum by (user) (apex_rtm_connections)", metrics) == ["nothing has a label user"]
    assert faults('apex_rtm_refusals_total{code="teapot"}', metrics) == ["apex_rtm_refusals_total: teapot are no codes"]
    assert faults("vector(1)", metrics) == ["names no metric"]


def test_every_alert_says_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["alert"].startswith("ApexRtm")
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule["alert"]
        assert {"summary", "action"} <= set(rule["annotations"]), rule["alert"]
        labels = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        groups = {label for group in _GROUPS.findall(rule["expr"]) for label in re.findall(r"\w+", group)}
        assert labels <= (groups or {"instance"}) | {"instance"}, rule["alert"]


def test_the_panels_do_not_overlap_and_explain_themselves() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    cells: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in cells, f"{panel['title']} lies on {cells.get((x, y))}"
                cells[x, y] = panel["title"]
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_page_names_every_metric_and_no_other(metrics: Metrics) -> None:
    words = set(re.findall(r"`((?:apex_rtm|process)_\w+)`", PAGE.read_text(encoding="utf-8")))
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in metrics if name.startswith("apex_rtm_")}

    assert {word for word in words if word.startswith("apex_rtm_")} == families
