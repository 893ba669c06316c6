"""The container file. No image is built here: what it copies, runs and asks is looked at piece by piece."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from apex_rtm.settings import PREFIX, Settings
from tests.support.server import ServerProcess, run_server

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "Containerfile"


def instructions() -> list[tuple[str, str]]:
    """Keyword and the rest, comments gone and lines joined, stage by stage."""
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    start = max(number for number, (word, _) in enumerate(found) if word == "FROM")
    return found[start:]


def test_every_instruction_is_one() -> None:
    known = {"FROM", "WORKDIR", "RUN", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
             "ENTRYPOINT", "CMD"}  # fmt: skip
    assert {word for word, _ in instructions()} <= known


def test_what_it_copies_is_there_and_not_ignored() -> None:
    kept = [
        line[1:] for line in (FILE.with_name("Containerfile.dockerignore")).read_text().splitlines() if line[0] == "!"
    ]
    sources = [
        source
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for source in shlex.split(rest)[:-1]
    ]
    assert "src" in sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, pattern) for pattern in kept), source
    # What the wheel takes from outside src has to be copied as well.
    included = re.findall(r'^"([\w-]+)[/"].*= "apex_rtm/', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert set(included) <= set(sources)
    hook = re.findall(r'^path = "(tools/.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert len(hook) == 1
    assert set(hook) <= set(sources), "hatchling stops where its build hook is missing"


def test_the_charts_of_the_console_are_built_before_the_wheel() -> None:
    words = [f"{word} {rest}" for word, rest in instructions()]
    fetched = next(n for n, text in enumerate(words) if text.startswith("RUN npm ci --omit=dev --ignore-scripts"))
    copied = words.index("COPY --from=charts /source/node_modules node_modules")
    built = next(n for n, text in enumerate(words) if text.endswith("--no-build-isolation ."))
    assert fetched < copied < built


def test_packages_come_with_their_hashes_and_the_server_runs_without_rights() -> None:
    runs = [rest for word, rest in instructions() if word == "RUN"]
    assert any("--require-hashes -r requirements/run.txt" in run for run in runs)
    stage = last_stage()
    words = [word for word, _ in stage]
    user = dict(stage)["USER"]
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert all(int(part) > 1000 for part in user.split(":"))
    owned = next(rest for word, rest in stage if word == "RUN")
    assert f"--owner {user.split(':')[0]} " in owned
    assert dict(stage)["VOLUME"] in owned


def test_its_variables_are_settings_and_open_mode_does_not_start(tmp_path: Path) -> None:
    environ = dict(pair.split("=", 1) for pair in shlex.split(dict(last_stage())["ENV"]))
    names = {name.removeprefix(PREFIX).lower() for name in environ if name.startswith(PREFIX)}
    assert names == {"host", "port", "data_dir"}
    assert names <= set(Settings.model_fields)
    assert environ["APEX_RTM_PORT"] == dict(last_stage())["EXPOSE"]
    done = subprocess.run(
        [sys.executable, "-m", "apex_rtm", *json.loads(dict(last_stage())["CMD"])],
        env={**environ, "APEX_RTM_DATA_DIR": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "open mode (no api_keys, no jwt_secret) listens on loopback only" in done.stderr


@pytest.mark.slow
def test_the_health_check_knows_a_server_that_serves_from_one_that_does_not(tmp_path: Path) -> None:
    command = json.loads(dict(last_stage())["HEALTHCHECK"].split("CMD ", 1)[1])
    assert command[:2] == ["/opt/apex-rtm/bin/python", "-c"]

    def check(server: ServerProcess) -> int:
        code = command[2].replace(":3000/", f":{server.port}/")
        assert code != command[2]
        return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode

    with run_server(tmp_path) as server:
        assert check(server) == 0
        server.stop()
        assert check(server) != 0
