"""The doctor on a deployment as `apex-rtm deploy` prints it, with nginx and a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from apex_rtm.cli import main
from tests.support.nginx import NAME, PAGE, Proxy, run_nginx
from tests.support.server import ServerProcess, run_server

pytestmark = pytest.mark.slow


def _configure(toml: Path) -> None:
    """Write the configuration as an administrator would."""
    command = ["deploy", "config", "--domain", NAME, "--origin", PAGE, "--output", str(toml)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output


def _examine(toml: Path, server: ServerProcess, proxy: Proxy, *more: str) -> tuple[int, dict[str, dict[str, Any]]]:
    command = [
        sys.executable, "-m", "apex_rtm", "doctor", "--json", "--config", str(toml), "--port", str(server.port),
        "--data-dir", str(server.settings["data_dir"]), "--url", f"wss://127.0.0.1:{proxy.https_port}",
        "--origin", PAGE, "--ca-file", str(proxy.pair.cert), *more,
    ]  # fmt: skip
    environ = {name: value for name, value in os.environ.items() if not name.startswith("APEX_RTM_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert done.stderr == ""
    return done.returncode, {check["id"]: check for check in json.loads(done.stdout)["checks"]}


def test_a_deployment_as_printed_is_in_good_health(tmp_path: Path) -> None:
    """Only the certificate of the test, which lives for two days, is worth a warning."""
    toml = tmp_path / "apex-rtm.toml"
    _configure(toml)
    with (
        run_server(tmp_path / "data", config=toml, ping_interval_s=2) as server,
        run_nginx(tmp_path / "nginx", server.port) as proxy,
    ):
        code, checks = _examine(toml, server, proxy)
        unwell = [
            f"{name}: {check['saw']}" for name, check in checks.items() if check["state"] not in ("ok", "skipped")
        ]
        assert [text.split(" in ")[0] for text in unwell] == [f"tls.expiry: {NAME} expires"]
        assert code == 1
        for name in ("proxy.upgrade", "proxy.idle", "proxy.client_ip", "proxy.body", "origin.page", "loop.publish"):
            assert checks[name]["state"] == "ok"
        assert "the client is known by its own address (127.0.0.77)" in checks["proxy.client_ip"]["saw"]

        server.stop()
        code, checks = _examine(toml, server, proxy, "--remote")
        assert code == 2
        assert "502 instead of 101" in checks["proxy.upgrade"]["saw"]
