"""The shared servers of the integration tests, for attacks that leave a server as they found it."""

from __future__ import annotations

from tests.integration.conftest import channel, shared_open, shared_secured, user

__all__ = ["channel", "shared_open", "shared_secured", "user"]
