"""The Autobahn|Testsuite itself: a Python 2.7 program, installed into a directory of its own, never system-wide."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

SECTIONS: Final = ("1", "2", "3", "4", "5", "6", "7", "10")  # 9 measures speed; 12 and 13 need compression
NAME: Final = "apex-rtm"
_PINS: Final = Path(__file__).with_name("requirements.txt")


class Missing(Exception):
    """The suite cannot be run on this machine; the text says what to install."""


def _candidates() -> Iterator[Path]:
    named = os.environ.get("PYTHON27")
    if named:
        yield Path(named)
    for name in ("python2.7", "python2"):
        found = shutil.which(name)
        if found:
            yield Path(found)
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from sorted(versions.glob("2.7*/bin/python2.7"), reverse=True)


def find_python27() -> Path:
    """Find an interpreter that runs. Raises Missing."""
    for path in _candidates():
        # A version manager's shim is on the path whether or not its Python is installed, so each is asked.
        asked = subprocess.run(
            [path, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, check=False
        )
        if asked.returncode == 0 and asked.stdout.strip() == b"(2, 7)":
            return path
    raise Missing(
        "the Autobahn|Testsuite needs Python 2.7 and none was found: apt install python2.7, or pyenv install 2.7.18, "
        "or name one in PYTHON27"
    )


def install(python27: Path, home: Path) -> Path:
    """Install the pinned suite under `home` unless it is there already; return its program. Raises Missing."""
    wstest = home / "bin" / "wstest"
    stamp = home / "installed"
    wanted = hashlib.sha256(_PINS.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return wstest
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    environ = _environ(home)
    has_pip = subprocess.run([python27, "-m", "pip", "--version"], env=environ, capture_output=True, check=False)
    if has_pip.returncode != 0:
        _run([str(python27), "-m", "ensurepip", "--user"], environ)
    quiet = ["--disable-pip-version-check", "--no-warn-script-location", "--quiet"]
    _run([str(python27), "-m", "pip", "install", "--user", *quiet, "-r", str(_PINS)], environ)
    stamp.write_text(wanted)
    return wstest


def _environ(home: Path) -> dict[str, str]:
    # A user site of its own is what `virtualenv` would give, without a second program to install first.
    return {**os.environ, "PYTHONUSERBASE": str(home), "PIP_USER": "1", "PYTHONWARNINGS": "ignore"}


def _run(command: list[str], environ: dict[str, str]) -> None:
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Missing(f"the Autobahn|Testsuite could not be installed: {' '.join(last)}")


def _write_spec(out: Path, port: int) -> Path:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    spec = {
        "outdir": str(out),
        "servers": [{"agent": NAME, "url": f"ws://127.0.0.1:{port}"}],
        "cases": [f"{section}.*" for section in SECTIONS],
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    path = out / "spec.json"
    path.write_text(json.dumps(spec))
    return path


def _read_index(out: Path) -> dict[str, dict[str, Any]] | None:
    path = out / "index.json"
    return json.loads(path.read_text())[NAME] if path.is_file() else None


async def run(python27: Path, wstest: Path, port: int, out: Path) -> dict[str, dict[str, Any]]:
    """Run every case of `SECTIONS` against the port; return what the suite wrote, by case. Raises Missing."""
    spec = _write_spec(out, port)
    process = await asyncio.create_subprocess_exec(
        python27, wstest, "-m", "fuzzingclient", "-s", spec, "-w", f"ws://127.0.0.1:{port}",
        cwd=out, env=_environ(wstest.parent.parent), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    found = _read_index(out)
    if process.returncode != 0 or not found:
        raise Missing(f"wstest ended with {process.returncode}: {output.decode('utf-8', 'replace')[-500:]}")
    return found
