"""The description for machines agrees with the routes and with the limits of the code."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from apex_rtm import __version__
from apex_rtm.codes import HTTP_STATUS
from apex_rtm.edge.http import MAX_LISTED
from apex_rtm.edge.openapi import describe_api

DOCUMENT: dict[str, Any] = json.loads(json.dumps(describe_api(max_token_ttl_s=86_400)))
OPERATIONS = [
    (method, path, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]


def test_it_names_its_version_and_is_json() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    assert DOCUMENT["info"] == {**DOCUMENT["info"], "title": "apex-rtm", "version": __version__}


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=[f"{m} {p}" for m, p, _ in OPERATIONS])
def test_every_operation_says_what_it_takes_and_answers(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert "200" in operation["responses"]
    in_path = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
    assert in_path == set(re.findall(r"\{(\w+)\}", path))
    assert ("requestBody" in operation) == (method == "post")


def test_failures_have_one_of_our_codes() -> None:
    text = json.dumps(DOCUMENT)

    assert json.dumps(sorted(HTTP_STATUS)) in text


def test_limits_are_those_of_the_code() -> None:
    limits = [
        one["schema"]["maximum"]
        for _, _, operation in OPERATIONS
        for one in operation.get("parameters", [])
        if one["name"] == "limit"
    ]

    assert limits == [MAX_LISTED] * len(limits) != []


def test_a_key_is_asked_for_where_one_is_needed() -> None:
    assert DOCUMENT["security"] == [{"key": []}, {"bearer": []}]
    public = {path for _, path, operation in OPERATIONS if operation.get("security") == []}
    assert public == {"/", "/health/live", "/health/ready"}


def test_in_open_mode_nothing_needs_a_key() -> None:
    assert describe_api(max_token_ttl_s=None)["security"] == []
