"""The chart library travels in the wheel, as npm's registry gave it, and its absence does not stop a build."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tools.chart_files import FILES, ChartFiles

from apex_rtm.console import CHART_FILES

ROOT = Path(__file__).resolve().parents[2]
UPLOT = ROOT / "node_modules" / "uplot"


class Screen:
    """Where hatchling writes."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def display_warning(self, text: str) -> None:
        self.warnings.append(text)


def run_hook(root: Path, version: str) -> tuple[dict[str, str], list[str]]:
    """What the hook includes, and what it says."""
    screen = Screen()
    build_data: dict[str, Any] = {"force_include": {}}
    anything: Any = None
    ChartFiles(str(root), {}, anything, anything, "", "wheel", screen).initialize(version, build_data)  # type: ignore[arg-type]
    return build_data["force_include"], screen.warnings


def test_without_npm_the_wheel_is_built_and_the_builder_told(tmp_path: Path) -> None:
    included, warnings = run_hook(tmp_path, "standard")

    assert included == {}
    assert warnings == ["uplot is not installed (npm ci), so this wheel's console has tables, not charts"]


def test_an_editable_install_needs_nothing(tmp_path: Path) -> None:
    assert run_hook(tmp_path, "editable") == ({}, [])


def test_all_or_nothing(tmp_path: Path) -> None:
    package = tmp_path / "node_modules" / "uplot"
    for name in FILES:
        assert run_hook(tmp_path, "standard")[0] == {}
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).touch()

    included, warnings = run_hook(tmp_path, "standard")

    assert warnings == []
    assert set(included.values()) == {f"apex_rtm/console/charts/{name}" for name in (*CHART_FILES, "LICENSE")}


def test_the_version_is_pinned() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]["uplot"]

    assert lock["node_modules/uplot"]["version"] == wanted
    assert lock["node_modules/uplot"]["integrity"].startswith("sha512-")
    assert lock["node_modules/uplot"]["license"] == "MIT"


@pytest.mark.slow
def test_the_wheel_has_what_npm_installed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(f"apex_rtm/console/charts/{Path(name).name}") for name in FILES}
        pages = {Path(name).name for name in archive.namelist() if name.startswith("apex_rtm/console/static/")}

    assert packed == {name: (UPLOT / name).read_bytes() for name in FILES}
    assert {"console.html", "console.css", "main.js", "icon.svg"} <= pages
