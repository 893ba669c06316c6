"""Tokens as the database would sign them."""

from __future__ import annotations

import time

import jwt

from tests.support.server import JWT_SECRET


def make_token(user: str, *channels: str, ttl_s: float = 600, secret: str = JWT_SECRET, **claims: object) -> str:
    """Sign a token; a claim of None is left out."""
    now = int(time.time())
    body = {"sub": user, "channels": list(channels), "iat": now, "exp": int(now + ttl_s), **claims}
    return jwt.encode({key: value for key, value in body.items() if value is not None}, secret, algorithm="HS256")
