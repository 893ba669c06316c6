"""The relay says in its log what it does not get rid of; thousands of interleavings need not be read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from apex_rtm.relay import drain, relay


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[structlog.testing.LogCapture]:
    """Collect the relay's log lines instead of printing them."""
    captured = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(None, processors=[captured])
    monkeypatch.setattr(drain, "_log", logger)
    monkeypatch.setattr(relay, "_log", logger)
    yield captured
    captured.entries.clear()
