"""The scripts of db/ travel in the wheel, where the command looks for them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from apex_rtm.database.scripts import scripts_dir

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_every_script_is_in_the_wheel(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")

    scripts = {path.relative_to(scripts_dir()).as_posix() for path in scripts_dir().rglob("*") if path.is_file()}
    assert {f"apex_rtm/db/{name}" for name in scripts} <= names
    done = subprocess.run(
        [sys.executable, "-c", "from apex_rtm.cli import main; main(['db', 'install', '--dry-run'])"],
        cwd=tmp_path / "site", env={"PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "create or replace package body rtm_job" in done.stdout
    found = subprocess.run(
        [sys.executable, "-c", "from apex_rtm.cli import main; main(['db', 'path'])"],
        cwd=tmp_path / "site", env={"PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(found.stdout.strip()) == tmp_path / "site" / "apex_rtm" / "db"
