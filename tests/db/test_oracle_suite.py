"""The suite for a real database says 'not run' where there is none, and never 'passed'."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from typing import Any

import pytest
from tools.plsql.grammar import ROOT

yaml: Any = importlib.import_module("yaml")  # comes with schemathesis, without types
COMPOSE = ROOT / "deploy" / "compose.oracle.yaml"


@pytest.mark.slow
def test_without_a_database_every_test_is_reported_as_not_run() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ORACLE_")}

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/oracle"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "not run: no ORACLE_DSN" in done.stdout
    assert "skipped" in done.stdout.splitlines()[-1]
    assert "passed" not in done.stdout


def test_database_for_a_maintainer_has_what_the_suite_needs() -> None:
    """The file is read, not run: the ports, the mounts and the script that it hands to the container."""
    compose: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    service = compose["services"]["oracle"]
    script = compose["configs"]["install"]["content"]

    assert service["ports"] == ["127.0.0.1:1521:1521"], "the listener is for this machine alone"
    assert "host.docker.internal:host-gateway" in service["extra_hosts"]
    assert service["environment"]["ORACLE_PASSWORD"].startswith("${ORACLE_PASSWORD:?")
    mounted = {volume.split("}:")[1].split(":")[0] for volume in service["volumes"] if "}" in volume}
    assert all(f"cd {path}" in script for path in mounted)
    ready = service["healthcheck"]["test"][-1]
    assert script.rstrip().endswith(f"touch {ready}")
    checked = subprocess.run(
        ["bash", "-n"], input=script.replace("$$", "$"), capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
