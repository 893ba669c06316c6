"""The log on the disk: can it be written, is there room, is the file in order, who can read it."""

from __future__ import annotations

import functools
import os
import sqlite3
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from apex_rtm.doctor.check import Check, Outcome, failure, ok, skipped, warning
from apex_rtm.doctor.foreign import word
from apex_rtm.doctor.patient import Patient
from apex_rtm.engine.sqlite import FILE_NAME

_LEAST_FREE_BYTES: Final = 64 * 1024 * 1024
_WANTED_FILES: Final = 16


def _on_this_disk(run: Callable[[Patient], Outcome]) -> Callable[[Patient], Outcome]:
    """Ask only where the log is a file of this machine."""

    @functools.wraps(run)
    def guarded(patient: Patient) -> Outcome:
        engine = patient.known.engine
        if patient.is_remote:
            return skipped("the server is on another machine")
        return run(patient) if engine == "sqlite" else skipped(f"engine {engine.split(':')[0]} keeps nothing here")

    return guarded


@_on_this_disk
def _writable(patient: Patient) -> Outcome:
    directory = patient.known.data_dir
    user = _user()
    if not directory.is_dir():
        return _creatable(directory, user)
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".doctor-"):
            pass
    except OSError as error:
        return failure(
            f"{user} cannot write to {directory}: {error.strerror}", f"chown -R {user}: {directory}    # as root",
            f"chmod 700 {directory}", "sudo apex-rtm doctor …    # or run the doctor as root, or as the server's user",
        )  # fmt: skip
    file = directory / FILE_NAME
    if file.exists() and not os.access(file, os.W_OK):
        return failure(f"{user} cannot write {file}", f"chown {user}: {file}*    # as root")
    return ok(f"{user} can write to {directory}")


def _creatable(directory: Path, user: str) -> Outcome:
    parent = next((path for path in directory.parents if path.exists()), Path("/"))
    if parent.is_dir() and not directory.exists() and os.access(parent, os.W_OK | os.X_OK):
        return ok(f"{directory} will be made by the first start")
    return failure(
        f"{directory} cannot be made by {user}", f"install -d -m 700 -o {user} {directory}    # as root",
        "StateDirectory=apex-rtm    # in the unit: systemd makes it and hands it over",
    )  # fmt: skip


@_on_this_disk
def _space(patient: Patient) -> Outcome:
    settings = patient.known
    place = next(path for path in (settings.data_dir, *settings.data_dir.parents) if path.exists())
    numbers = os.statvfs(place)
    free = numbers.f_bavail * numbers.f_frsize
    remedy = (
        f"df -h {place} && du -xh --max-depth=1 {place} | sort -h | tail    # what is it full of?",
        f"log_max_bytes = {max(free // 4, 1_048_576)}    # or keep less",
    )
    if free < _LEAST_FREE_BYTES:
        return failure(f"{_size(free)} are free below {place}: publishing will be refused with 503", *remedy)
    if numbers.f_files and numbers.f_favail < _WANTED_FILES:
        return failure(f"no files can be made below {place}: the file system is out of inodes", f"df -i {place}")
    if free < 2 * settings.log_max_bytes:
        return warning(f"{_size(free)} are free, a full log may take {_size(2 * settings.log_max_bytes)}", *remedy)
    return ok(f"{_size(free)} are free, a full log takes up to {_size(2 * settings.log_max_bytes)}")


@_on_this_disk
def _integrity(patient: Patient) -> Outcome:
    file = patient.known.data_dir / FILE_NAME
    if not file.is_file():
        return ok("there is no log yet")
    try:
        found = _quick_check(file)
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return skipped("a server has the file open, as it should; stop it to have the file checked")
        return failure(f"{file}: {error}", f"ls -l {file}*")
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found == "ok":
        return ok(f"{file} is in order, {_size(file.stat().st_size)}")
    return failure(f"{file} is damaged: {found}", *_begin_anew(file))


def _begin_anew(file: Path) -> tuple[str, ...]:
    """Move the file away with all that SQLite keeps beside it, which would be applied to whatever takes its place."""
    place, aside = word(str(file)), word(str(file.parent / "broken"))
    old, saved = f"{aside}/{file.name}", f"{aside}/saved.sql"
    return (
        "systemctl stop apex-rtm.socket apex-rtm    # the socket too, or the next connection starts it again",
        f"mkdir -p {aside} && mv {place}* {aside}/    # begins anew: clients are told that messages may be missing",
        f"sqlite3 {old} .recover > {saved} && sqlite3 {place} < {saved} && chown --reference={word(str(file.parent))} "
        f"{place} && chmod 600 {place}    # only to save what can be saved",
        "systemctl start apex-rtm.socket apex-rtm",
    )


def _quick_check(file: Path) -> str:
    """What SQLite says of its file, `ok` where all is well. Raises sqlite3.Error."""
    db = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=0)
    try:
        return "; ".join(str(row[0]) for row in db.execute("pragma quick_check(3)"))
    finally:
        db.close()


@_on_this_disk
def _mode(patient: Patient) -> Outcome:
    directory = patient.known.data_dir
    if not directory.exists():
        return ok("will be made with mode 0700")
    mode = directory.stat().st_mode
    if mode & 0o007:
        return failure(
            f"{directory} has mode {stat.S_IMODE(mode):04o}: every user of the machine can read every message",
            f"chmod 700 {directory}",
        )
    return ok(f"{directory} has mode {stat.S_IMODE(mode):04o}")


def _user() -> str:
    import pwd  # noqa: PLC0415 - absent on Windows, where everything else here works

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


CHECKS: Final = (
    Check("data.writable", "The log can be written", _writable, needs=("config.loads",)),
    Check("data.space", "There is room for the log", _space, needs=("config.loads",)),
    Check("data.mode", "Nobody else can read the log", _mode, needs=("config.loads",)),
    Check("data.integrity", "The file of the log is in order", _integrity, needs=("config.loads",), timeout_s=60),
)
