"""A copy of the sample scripts with one fault planted in it, and what the checks say of it."""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tools.plsql.finding import Finding
from tools.plsql.suite import run_checks
from tools.plsql.world import World, read_world, roots

SAMPLES = Path(__file__).with_name("samples")


CHECKS_OF = {
    "structure": ("signatures", "ends", "sizes"),
    "names": ("names",),
    "sql_names": ("names",),
    "conduct": ("conduct",),
    "errors": ("errors",),
    "naming": ("naming",),
    "secrets": ("secrets",),
    "mle": ("mle",),
    "uninstall": ("uninstall",),
}
"""The checks that the faults of a file are for."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One change to one file, and what has to be said of it: the rule, words of the message, and where (``at``)."""

    file: str
    old: str
    new: str
    rule: str
    words: str
    at: str
    group: str

    @property
    def id(self) -> str:
        return f"{self.rule}: {self.words}"


def faults() -> list[Fault]:
    """Every fault in faults/*.toml. ``repeat`` plants the new text so often, ``keep`` the old one after it."""
    found = []
    for path in sorted(SAMPLES.with_name("faults").glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["fault"]:
            new = entry["new"] * entry.get("repeat", 1) + (entry["old"] if entry.get("keep") else "")
            at = entry.get("at", entry["file"])
            found.append(Fault(entry["file"], entry["old"], new, entry["rule"], entry["words"], at, path.stem))
    return found


def plant(folder: Path, *changes: tuple[str, str, str]) -> World:
    """Copy the samples to ``folder``, make each change (file, old, new) once, and read them."""
    shutil.copytree(SAMPLES, folder, dirs_exist_ok=True)
    for file, old, new in changes:
        path = folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} has no {old!r}: the fault cannot be planted"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return read_world(roots(folder), folder)


def findings_of(folder: Path, fault: Fault) -> list[Finding]:
    """What the check in whose file the fault stands says of the samples with that fault."""
    return run_checks(plant(folder, (fault.file, fault.old, fault.new)), *CHECKS_OF[fault.group])


def assert_found(findings: list[Finding], fault: Fault) -> None:
    """Fail unless one finding has the rule, the file and the words of ``fault``."""
    said = [str(finding) for finding in findings]
    hits = [item for item in findings if item.rule == fault.rule and fault.words in item.message]
    assert fault.at in {hit.path for hit in hits}, f"nothing of {fault.id!r} at {fault.at} in {said}"
