"""One HTTP request, and what came back."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


class NoAnswer(Exception):
    """Nobody answered, or not in HTTP; the text says which."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is text; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def json(self) -> dict[str, Any]:
        """The body as an object; empty where it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def message(self) -> str:
        """What the server says of a refusal, or the first words of whatever answered instead."""
        return str(self.json.get("message") or " ".join(self.body[:200].split()))


def call(
    base_url: str, method: str, path: str, context: ssl.SSLContext, *, body: bytes | None = None,
    headers: Mapping[str, str] | None = None, timeout_s: float = 5,
) -> Answer:  # fmt: skip
    """Do it. Raises NoAnswer."""
    parts = urlsplit(base_url)
    connection = (
        http.client.HTTPSConnection(parts.netloc, timeout=timeout_s, context=context)
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.netloc, timeout=timeout_s)
    )
    try:
        connection.request(method, parts.path.rstrip("/") + path, body, dict(headers or {}))
        response = connection.getresponse()
        text = response.read(1_000_000).decode("utf-8", "replace")
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from error
    finally:
        connection.close()


def with_key(key: str | None) -> dict[str, str]:
    """Headers of a publisher."""
    return {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})
