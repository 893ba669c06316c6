"""The three-node example in deploy/nodes. Its nginx file and configuration are run by tests/chaos/nodes.py."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from apex_rtm.settings import load_settings
from tests.support.balancer import replace_each
from tests.support.nodes import FOLDER, make_config, make_site

ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed: apt install systemd")
def test_systemd_accepts_the_unit_for_each_port(tmp_path: Path) -> None:
    text = (FOLDER / "apex-rtm@.service").read_text(encoding="utf-8")
    unit = tmp_path / "apex-rtm@3001.service"
    unit.write_text(replace_each(text, [("/opt/apex-rtm/current/bin/apex-rtm", shutil.which("true") or "/bin/true")]))

    assert ANALYZE is not None
    done = subprocess.run(
        [ANALYZE, "verify", "--man=no", unit], capture_output=True, text=True, check=False, timeout=50
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "--config /etc/apex-rtm/apex-rtm.toml --port %i" in text


def test_the_configuration_is_a_good_one(tmp_path: Path) -> None:
    path = tmp_path / "apex-rtm.toml"
    path.write_text(make_config(6380))
    secrets = {"APEX_RTM_API_KEYS": "k", "APEX_RTM_JWT_SECRET": "s" * 32, "APEX_RTM_REDIS_PASSWORD": "p"}

    settings = load_settings({"port": 3001}, secrets, path)

    assert settings.is_shared
    assert not settings.is_open
    assert tomllib.loads(path.read_text())["engine"] == "redis://127.0.0.1:6380/0"


def test_nginx_counts_connections_and_needs_no_sticky_sessions() -> None:
    site = make_site(8080, [1, 2, 3])

    assert "least_conn;" in site
    assert "ip_hash" not in site
    assert [f"server 127.0.0.1:{port} " in site for port in (1, 2, 3)] == [True] * 3
