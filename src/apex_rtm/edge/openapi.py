"""The HTTP interface for machines: an OpenAPI 3.1 document, served at /openapi.json and fuzzed against in the tests."""

from __future__ import annotations

from typing import Any, Final

from apex_rtm import __version__
from apex_rtm.channels import MAX_CHANNEL_CHARACTERS
from apex_rtm.codes import HTTP_STATUS
from apex_rtm.message import MAX_EVENT_NAME_CHARACTERS, MAX_ID_CHARACTERS

_CHANNEL: Final = {"type": "string", "minLength": 1, "maxLength": MAX_CHANNEL_CHARACTERS}
_REVOKED: Final = {"user": {"type": "string"}, "sessionId": {"type": "string"}, "channel": _CHANNEL}
_MESSAGE: Final = {
    "type": "object",
    "required": ["channel"],
    "properties": {
        "channel": _CHANNEL,
        "eventName": {"type": ["string", "null"], "maxLength": MAX_EVENT_NAME_CHARACTERS},
        "payload": {},
        "meta": {"type": ["object", "null"]},
        "id": {"type": ["string", "null"], "minLength": 1, "maxLength": MAX_ID_CHARACTERS},
    },
}
_PUBLISHED: Final = {
    "type": "object",
    "required": ["ok", "id", "epoch", "offset"],
    "properties": {
        "ok": {"const": True},
        "id": {"type": "string"},
        "epoch": {"type": "string"},
        "offset": {"type": "integer", "minimum": 1},
    },
}
_FAILURE: Final = {
    "type": "object",
    "required": ["ok", "code", "message"],
    "properties": {
        "ok": {"const": False},
        "code": {"enum": sorted(HTTP_STATUS)},
        "message": {"type": "string"},
    },
}


def describe_api(*, max_token_ttl_s: float | None) -> dict[str, Any]:
    """Build the document. Without a longest life of tokens the server is in open mode, and nothing needs a key."""
    batch = {
        "type": "object",
        "required": ["messages"],
        "properties": {"messages": {"type": "array", "items": {}}},
    }
    results = {"type": "array", "items": {"anyOf": [_PUBLISHED, _FAILURE]}}
    token = {
        "type": "object",
        "required": ["user", "channels"],
        "properties": {
            "user": {"type": "string", "minLength": 1},
            "sessionId": {"type": ["string", "null"]},
            "channels": {"type": "array", "items": _CHANNEL},
            "ttlSeconds": {"type": "number", "minimum": 1, "maximum": max_token_ttl_s or 86_400},
        },
    }
    revoke = {
        "type": "object",
        "properties": {name: {"anyOf": [schema, {"type": "null"}]} for name, schema in _REVOKED.items()},
        "anyOf": [{"required": [name], "properties": {name: schema}} for name, schema in _REVOKED.items()],
    }
    channel = {"name": "channel", "in": "path", "required": True, "schema": _CHANNEL}
    limit = _query("limit", {"type": "integer", "minimum": 0, "maximum": 1000})
    since = [_query("epoch", {"type": "string"}), _query("offset", {"type": "integer", "minimum": 0, "maximum": 2**63})]
    return {
        "openapi": "3.1.0",
        "info": {"title": "apex-rtm", "version": __version__},
        "security": [] if max_token_ttl_s is None else [{"key": []}, {"bearer": []}],
        "paths": {
            "/": {"get": _public("Say that the bridge is running", {"type": "string"}, media="text/plain")},
            "/health/live": {"get": _public("Is the process alive", _ok())},
            "/health/ready": {"get": _public("May it be sent traffic", _ok())},
            "/api/broadcast": {"post": _operation("Publish one message", _PUBLISHED, body=_MESSAGE)},
            "/api/broadcast/batch": {"post": _operation("Publish many messages", _ok(results=results), body=batch)},
            "/api/tokens": {
                "post": _operation(
                    "Mint a token for a browser",
                    _ok(token={"type": "string"}, expiresAt={"type": "integer"}),
                    body=token,
                )
            },
            "/api/revoke": {
                "post": _operation("Take rights away", _ok(connections=_count(), subscriptions=_count()), body=revoke)
            },
            "/api/channels": {
                "get": _operation("List channels", _ok(channels=_list()), [_query("prefix", {"type": "string"}), limit])
            },
            "/api/channels/{channel}/history": {
                "get": _operation("Read a channel's log", _ok(publications=_list()), [channel, limit, *since])
            },
            "/api/channels/{channel}/presence": {
                "get": _operation("Who is subscribed", _ok(connections=_count()), [channel])
            },
            "/api/connections": {
                "get": _operation(
                    "List connections",
                    _ok(connections=_list()),
                    [_query("user", {"type": "string"}), _query("channel", {"type": "string"}), limit],
                )
            },
        },
        "components": {
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            }
        },
    }


def _operation(
    summary: str,
    answer: dict[str, Any],
    parameters: list[dict[str, Any]] | None = None,
    *,
    body: dict[str, Any] | None = None,
    media: str = "application/json",
) -> dict[str, Any]:
    failure = {"description": "Refused", "content": {"application/json": {"schema": _FAILURE}}}
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "OK", "content": {media: {"schema": answer}}},
            "default": failure,
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _public(summary: str, answer: dict[str, Any], *, media: str = "application/json") -> dict[str, Any]:
    return {**_operation(summary, answer, media=media), "security": []}


def _ok(**members: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {"ok": {"const": True}, **members}
    return {"type": "object", "required": list(properties), "properties": properties}


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


def _count() -> dict[str, Any]:
    return {"type": "integer", "minimum": 0}


def _list() -> dict[str, Any]:
    return {"type": "array", "items": {"type": "object"}}
