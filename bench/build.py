"""What must be there before anything is measured: the C programs, the peers' packages. Each step is done once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
WORK: Final = HERE.parent / ".work" / "bench"
PEERS: Final = HERE / "peers"
_CFLAGS: Final = ("-O2", "-std=gnu11", "-Wall", "-Wextra")


def compile_c(name: str, sources: Iterable[Path]) -> Path:
    """Compile a program unless it is newer than all its sources; return where it is."""
    WORK.mkdir(parents=True, exist_ok=True)
    program = WORK / name
    sources = sorted(sources)
    if not program.exists() or any(s.stat().st_mtime >= program.stat().st_mtime for s in sources):
        compiled = [str(s) for s in sources if s.suffix == ".c"]
        made = WORK / f"{name}.{os.getpid()}"  # and then put in place at once: two runs may compile at the same time
        subprocess.run(["gcc", *_CFLAGS, "-o", str(made), *compiled], check=True)
        made.replace(program)
    return program


def load_program() -> Path:
    """Give the load generator."""
    return compile_c("load", (HERE / "load").glob("*.[ch]"))


def limit_program() -> Path:
    """Give the C send loop."""
    return compile_c("limit", [PEERS / "limit.c"])


def install_node_packages() -> str | None:
    """Install what the Node peers are made of; say why not where it cannot be done."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "Node.js with npm is not installed"
    return _once("node", PEERS / "package-lock.json", ["npm", "ci", "--no-progress", "--loglevel=error"])


def install_python_packages() -> str | None:
    """Install the dependency group `bench`, by its lock file; say why not where it cannot be done."""
    lock = PEERS / "requirements.txt"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    return _once("python", lock, [*pip, "-r", str(lock)])


def find_centrifugo() -> Path | None:
    """Find Centrifugo: on the path, where CENTRIFUGO says, or where `go install` puts it."""
    named = os.environ.get("CENTRIFUGO") or shutil.which("centrifugo")
    candidates = [Path(named)] if named else []
    candidates.append(WORK / "go" / "centrifugo")
    return next((path for path in candidates if path.is_file()), None)


def install_centrifugo() -> str | None:
    """Find Centrifugo or install it with Go; say why not where it cannot be done."""
    if find_centrifugo() is not None:
        return None
    if shutil.which("go") is None:
        return "neither Centrifugo nor Go is installed (CENTRIFUGO may name the program)"
    module = "github.com/centrifugal/centrifugo/v6@latest"
    done = subprocess.run(
        ["go", "install", module],
        env=os.environ | {"GOBIN": str(WORK / "go")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0 and find_centrifugo() is not None:
        return None
    return f"go install {module} failed here"


def _once(name: str, lock: Path, command: list[str]) -> str | None:
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = WORK / f"{name}.stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return None
    WORK.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, cwd=lock.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"{' '.join(command[:3])} failed: {done.stderr.strip().splitlines()[-1:]}"
    stamp.write_text(wanted)
    return None
