"""Make .venv from a lock file, with nothing but a Python 3.11+ and its standard library.

    python3 tools/bootstrap.py run     what the server and the demo need
    python3 tools/bootstrap.py dev     the same and the tools of the tests

Does nothing when the lock file has not changed since the last time, so every make target may call it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"


def main(lock_name: str) -> int:
    """Create or update the environment; return a process exit code."""
    if sys.version_info < (3, 11):
        print("apex-rtm needs Python 3.11 or newer: apt install python3 / dnf install python3.12", file=sys.stderr)
        return 1
    lock = ROOT / "requirements" / f"{lock_name}.txt"
    pyproject = ROOT / "pyproject.toml"
    wanted = hashlib.sha256(lock.read_bytes() + pyproject.read_bytes()).hexdigest()
    stamp = VENV / f"{lock_name}.stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return 0
    if not (VENV / "bin" / "python").exists():
        if importlib.util.find_spec("ensurepip") is None:
            print("This Python cannot make a virtual environment: apt install python3-venv", file=sys.stderr)
            return 1
        print("Making .venv ...", flush=True)
        venv.create(VENV, with_pip=True)
    print(f"Installing from {lock.relative_to(ROOT)} ...", flush=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for step in (
        [*pip, "--require-hashes", "-r", str(lock)],
        [*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)],
    ):
        code = subprocess.run(step, check=False).returncode
        if code:
            return code
    stamp.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
