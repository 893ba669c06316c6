"""What a missing library is called when somebody is told to install it."""

from __future__ import annotations

import re
import sys
import tomllib

import pytest

from apex_rtm.extras import LIBRARIES, install_line
from tests.docs.blocks import ROOT, pages


def test_the_libraries_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {name: list(wanted) for name, wanted in LIBRARIES.items()} == project["optional-dependencies"]


def test_they_go_where_the_server_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert install_line("oracle", "/opt/apex-rtm/current/bin/python") == (
        "/opt/apex-rtm/current/bin/python -m pip install 'oracledb>=3.1'"
    )
    assert install_line("redis").startswith(sys.executable)
    monkeypatch.setattr(sys, "executable", "/home/a b/python")
    assert install_line("demo") == "'/home/a b/python' -m pip install 'XStatic-jQuery>=3.7'"


def test_nobody_is_sent_to_a_registry_for_the_project_itself() -> None:
    """The name is not published: whoever registers it there would be run as root."""
    files = [*pages(), *(ROOT / "src").rglob("*.py"), *(ROOT / "tools").rglob("*.py"), *(ROOT / "deploy").rglob("*.*")]
    sends = re.compile(r"pip install (?:-\S+ )*['\"]?apex[-_]rtm\b")
    assert sends.search("pip install 'apex-rtm[oracle]'")
    found = [str(path.relative_to(ROOT)) for path in files if sends.search(path.read_text(encoding="utf-8"))]
    assert found == []
