"""The served OpenAPI document against the server that serves it: what it promises holds, what it forbids is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import API_KEY, ServerProcess

pytestmark = pytest.mark.slow


def _run(server: ServerProcess, tmp_path: Path, *options: str) -> str:
    # Bounded and derandomized: the same requests in every run, some hundreds of them.
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--generation-deterministic",
         "--max-examples", "10", "--suppress-health-check", "all", "--no-color", *options],
        cwd=tmp_path, capture_output=True, text=True, timeout=55, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    return done.stdout


def test_the_document_holds_in_open_mode(open_server: ServerProcess, tmp_path: Path) -> None:
    said = _run(open_server, tmp_path)
    assert "Tested: 11" in said
    assert not [line for line in open_server.log if "exception" in line]


def test_the_document_holds_in_secured_mode(secured_server: ServerProcess, tmp_path: Path) -> None:
    said = _run(secured_server, tmp_path, "-H", f"X-API-Key: {API_KEY}")
    assert "Tested: 11" in said
    assert not [line for line in secured_server.log if "exception" in line]
