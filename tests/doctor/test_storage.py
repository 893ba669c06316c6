"""What the doctor says of the log on the disk."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from apex_rtm.app import compose, running
from apex_rtm.doctor.check import State
from apex_rtm.doctor.patient import Patient
from apex_rtm.engine.sqlite import FILE_NAME
from tests.doctor.conftest import MakePatient
from tests.doctor.shown import bad, breaks, good, run
from tests.hardening.limited import obey_permissions


class Numbers(NamedTuple):
    """What a file system says of its room."""

    f_bavail: int
    f_frsize: int
    f_files: int
    f_favail: int


ALL = ("data.writable", "data.space", "data.mode", "data.integrity")


@pytest.fixture
def used(make_patient: MakePatient) -> Patient:
    """A patient whose server has run once."""
    patient = make_patient()

    async def once() -> None:
        async with running(compose(patient.known)):
            pass

    asyncio.run(once())
    return patient


def test_a_log_in_order_is_good(used: Patient) -> None:
    for name in ALL:
        assert good(name, used), name
    assert "can write to" in good("data.writable", used)
    assert "are free" in good("data.space", used)
    assert "in order" in good("data.integrity", used)


def test_before_the_first_start_all_is_well(make_patient: MakePatient) -> None:
    for name in ALL:
        assert good(name, make_patient()), name


def test_what_is_kept_elsewhere_is_not_looked_at(make_patient: MakePatient) -> None:
    for name in ALL:
        assert run(name, make_patient(engine="memory")).state is State.SKIPPED
        assert run(name, make_patient({"is_remote": True})).state is State.SKIPPED


@breaks("data.writable")
def test_a_directory_that_cannot_be_made_is_a_failure(tmp_path: Path, make_patient: MakePatient) -> None:
    (tmp_path / "file").write_text("")
    told = bad("data.writable", make_patient(data_dir=str(tmp_path / "file" / "data")))
    assert "StateDirectory=apex-rtm" in told
    told = bad("data.writable", make_patient(data_dir=str(tmp_path / "file")))
    assert "install -d -m 700" in told


@pytest.mark.slow
def test_a_directory_of_somebody_else_is_a_failure(tmp_path: Path) -> None:
    """In a process without root's right to write everywhere."""
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / FILE_NAME).touch()
    command = [sys.executable, "-m", "apex_rtm", "doctor", "--data-dir", str(directory), "--only", "data.writable"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=obey_permissions)
    assert done.returncode == 0, done.stdout
    directory.chmod(0o500)
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=obey_permissions)
    assert done.returncode == 2, done.stdout
    assert f"cannot write to {directory}: Permission denied" in done.stdout
    assert "chown -R" in done.stdout


@breaks("data.space")
@pytest.mark.parametrize(("free", "state"), [(1 << 20, State.FAILURE), (300 << 20, State.WARNING)])
def test_a_full_disk_is_told_in_time(used: Patient, monkeypatch: pytest.MonkeyPatch, free: int, state: State) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _path: Numbers(free, 1, 1000, 1000))
    told = bad("data.space", used, state)
    assert "log_max_bytes = " in told
    assert "df -h" in told


@breaks("data.space")
def test_a_file_system_without_inodes_is_told(used: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _path: Numbers(1 << 40, 1, 1000, 0))
    assert "inodes" in bad("data.space", used)


@breaks("data.integrity")
def test_a_damaged_file_is_a_failure(used: Patient) -> None:
    file = used.known.data_dir / FILE_NAME
    db = sqlite3.connect(file)
    db.executemany(
        "insert into publication values (?, 'c', 'e', ?, 0, ?, zeroblob(200))", [(n, n, str(n)) for n in range(500)]
    )
    db.commit()
    db.execute("pragma wal_checkpoint(truncate)")
    db.close()
    data = bytearray(file.read_bytes())
    data[20_000:60_000] = b"\xff" * 40_000
    file.write_bytes(data)
    told = bad("data.integrity", used)
    assert ".recover" in told
    assert "systemctl stop apex-rtm" in told


def _quick_check(file: Path) -> str:
    db = sqlite3.connect(file)
    try:
        return str(db.execute("pragma quick_check").fetchone()[0])
    finally:
        db.close()


@breaks("data.integrity")
def test_the_remedy_leaves_nothing_of_the_old_file_beside_the_new_one(used: Patient) -> None:
    """After a crash there is a -wal: SQLite would write what stands in it over the file that was saved."""
    directory = used.known.data_dir
    file = directory / FILE_NAME
    db = sqlite3.connect(file)
    db.execute("pragma wal_autocheckpoint = 0")
    db.execute("create table filler as select zeroblob(100000) as data")
    db.commit()
    left = {suffix: (directory / f"{FILE_NAME}{suffix}").read_bytes() for suffix in ("", "-wal")}
    db.close()
    for suffix, data in left.items():
        (directory / f"{FILE_NAME}{suffix}").write_bytes(data if suffix else b"not a database" * 1000)

    lines = run("data.integrity", used).remedy
    assert lines[0].startswith("systemctl stop apex-rtm.socket apex-rtm")
    for line in lines:
        if not line.startswith("systemctl"):
            subprocess.run(["sh", "-c", line], check=False, capture_output=True)

    assert {FILE_NAME, f"{FILE_NAME}-wal"} <= {path.name for path in (directory / "broken").iterdir()}
    assert not (directory / f"{FILE_NAME}-wal").exists()
    assert not file.exists() or _quick_check(file) == "ok"


@breaks("data.integrity")
def test_a_file_that_is_no_database_is_a_failure(used: Patient) -> None:
    (used.known.data_dir / FILE_NAME).write_text("not a database" * 100)
    assert "damaged" in bad("data.integrity", used)


async def test_a_file_that_a_server_holds_is_left_alone(make_patient: MakePatient) -> None:
    patient = make_patient()
    async with running(compose(patient.known)):
        outcome = run("data.integrity", patient)
    assert outcome.state is State.SKIPPED
    assert "a server has the file open" in outcome.saw


@breaks("data.mode")
def test_a_log_that_everybody_can_read_is_a_failure(used: Patient) -> None:
    used.known.data_dir.chmod(0o755)
    assert f"chmod 700 {used.known.data_dir}" in bad("data.mode", used)
    used.known.data_dir.chmod(0o750)
    assert good("data.mode", used)
