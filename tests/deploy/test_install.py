"""deploy/install.sh with the programs that it calls replaced: what it does about charts, and what it says at its end.

The real one, with real packages, is run by tests/docs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ["cat", "cp", "date", "dirname", "grep", "ln", "mkdir", "mv", "readlink", "rm", "sed", "sh"]
# `python -m venv DIRECTORY` makes what an installation has; pip installs nothing.
PYTHON = """#!/bin/sh
[ "$2" = venv ] || exit 0
mkdir -p "$3/bin" "$3/lib/python3.12/site-packages/apex_rtm/console"
for name in python apex-rtm; do printf '#!/bin/sh\\n' >"$3/bin/$name"; chmod 755 "$3/bin/$name"; done
"""
NPM = """#!/bin/sh
echo "$*" >>npm-calls
[ -z "${NPM_FAILS:-}" ] || exit 1
mkdir -p node_modules/uplot/dist
touch node_modules/uplot/dist/uPlot.iife.min.js node_modules/uplot/dist/uPlot.min.css node_modules/uplot/LICENSE
cp wanted.json node_modules/uplot/package.json
"""


class Checkout:
    """A copy of what install.sh reads, and a PATH on which there is npm only where a test puts it."""

    def __init__(self, directory: Path) -> None:
        self.source, self.prefix, self.bin = directory / "source", directory / "opt", directory / "bin"
        for folder in (self.source / "deploy", self.source / "src/apex_rtm", self.bin):
            folder.mkdir(parents=True)
        for name in ("deploy/install.sh", "package.json", "src/apex_rtm/__init__.py"):
            shutil.copy(ROOT / name, self.source / name)
        version = json.loads((ROOT / "package.json").read_text())["dependencies"]["uplot"]
        (self.source / "wanted.json").write_text(json.dumps({"name": "uplot", "version": version}, indent=2))
        for tool in [*TOOLS, "chmod", "touch"]:
            (self.bin / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
        self.add("python3.12", PYTHON)
        self.add("git", "#!/bin/sh\necho abc1234\n")

    def add(self, name: str, text: str) -> None:
        """Put a program on the PATH."""
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def install(self, **environ: str) -> str:
        """Run it; return what it says."""
        done = subprocess.run(
            [str(self.source / "deploy/install.sh")], capture_output=True, text=True, check=False, cwd=self.source,
            env={"PATH": str(self.bin), "PREFIX": str(self.prefix), **environ},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def charts(self) -> list[str]:
        """The files that the console draws charts with, in the current version."""
        folder = self.prefix / "current/lib/python3.12/site-packages/apex_rtm/console/charts"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


FILES = ["LICENSE", "uPlot.iife.min.js", "uPlot.min.css"]


def test_without_npm_it_says_what_brings_charts_and_a_second_run_adds_them(checkout: Checkout) -> None:
    said = checkout.install()
    assert "tables instead of charts: dnf install nodejs npm, then run this again and restart." in said
    assert checkout.charts() == []
    checkout.add("npm", NPM)
    said = checkout.install()
    assert "charts" not in said
    assert checkout.charts() == FILES


def test_npm_runs_no_scripts_and_only_where_the_pinned_version_is_missing(checkout: Checkout) -> None:
    checkout.add("npm", NPM)
    assert "charts" not in checkout.install()
    calls = checkout.source / "npm-calls"
    assert calls.read_text() == "ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error\n"
    checkout.install()
    assert len(calls.read_text().splitlines()) == 1, "in a checkout with development tools npm would remove them"
    (checkout.source / "node_modules/uplot/package.json").write_text('{"version": "1.0.0"}')
    checkout.install()
    assert len(calls.read_text().splitlines()) == 2


def test_npm_that_fails_does_not_stop_the_installation(checkout: Checkout) -> None:
    checkout.add("npm", NPM)
    said = checkout.install(NPM_FAILS="yes")
    assert "tables instead of charts: see what npm says above" in said
    assert os.access(checkout.prefix / "current/bin/apex-rtm", os.X_OK)


@pytest.mark.skipif(Path("/etc/systemd/system/apex-rtm.service").exists(), reason="the server is installed here")
def test_it_ends_with_the_next_step(checkout: Checkout) -> None:
    last = checkout.install().splitlines()[-1]
    assert last.startswith(f"Next: {checkout.prefix}/current/bin/apex-rtm deploy all --domain ")
