"""What the documentation tells a user to type: it runs, or says why not, and names no option that is gone."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import httpx
import pytest

from apex_rtm.cli import main
from tests.docs.blocks import ROOT, Block, blocks, commands, pages
from tests.support.nginx import free_ports

SHELL = {"sh", "bash", "console", "shell"}
WITH_SHELL = [path for path in pages() if any(block.kind in SHELL for block in blocks(path))]


def test_every_shell_block_is_marked_in_one_way() -> None:
    other = [str(block) for path in pages() for block in blocks(path) if block.kind in SHELL - {"sh"}]
    assert other == [], "```sh is run by the tests; the other names would not be"


def test_a_reason_stands_before_a_shell_block_only() -> None:
    lost = [str(block) for path in pages() for block in blocks(path) if block.why_not and block.kind != "sh"]
    assert lost == []
    for path in pages():
        marks = path.read_text(encoding="utf-8").count("<!-- not run:")
        assert marks == len([block for block in blocks(path) if block.why_not]), path


def _wrong_words(words: list[str]) -> list[str]:
    """Options and commands in a call that the program does not know."""
    command: click.Command = main
    # With its settings: click keeps the help option that the first context makes, for every later call of the process.
    context = click.Context(main, info_name="apex-rtm", **main.context_settings)
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        if found is None:
            return [rest[0]]
        command, rest = found, rest[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    known = {name for parameter in command.get_params(context) for name in (*parameter.opts, *parameter.secondary_opts)}
    return [word for word in rest if word.startswith("--") and word.split("=")[0] not in known]


def _calls() -> list[tuple[Block, list[str]]]:
    return [(block, words) for path in pages() for block in blocks(path) for words in commands(block)]


def test_no_page_names_a_command_or_an_option_that_is_not_there() -> None:
    calls = _calls()
    assert len(calls) >= 15  # it does find them
    wrong = [f"{block}: {word}" for block, words in calls for word in _wrong_words(words) if "…" not in word]
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("apex-rtm serve --port 3000", []),
        ("APEX_RTM_API_KEYS=x sudo apex-rtm serve", None),
        ("sudo -u rtm /opt/apex-rtm/current/bin/apex-rtm serve --prot 3000", ["--prot"]),
        ("apex-rtm deplyo all", ["deplyo"]),
        ("apex-rtm listen test --json | head  # --this is no option", []),
    ],
)
def test_a_wrong_word_is_found(line: str, wrong: list[str] | None) -> None:
    found = list(commands(Block(ROOT / "README.md", 1, "", line)))
    assert (None if not found else _wrong_words(found[0])) == wrong


def test_the_number_of_commands_of_the_deployment_is_the_one_that_is_told() -> None:
    path = ROOT / "docs" / "deploy.md"
    text = path.read_text(encoding="utf-8")
    first, last = (text[: text.index(f"\n## {number} ")].count("\n") + 1 for number in (2, 3))
    lines = [line for block in blocks(path) if first < block.line < last for line in block.text.splitlines()]
    assert len(lines) == 13
    assert "Thirteen commands, then one that checks them." in text


# ── running them ──


class Machine:
    """A machine of its own: `sudo` that only calls, the command of this checkout, an empty home, free ports."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.work = directory / "work"
        self.state = directory / "state.sh"
        self.ports = free_ports(2)
        programs = directory / "bin"
        for folder in (self.work, programs):
            folder.mkdir()
        (programs / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
        (programs / "apex-rtm").write_text(f'#!/bin/sh\nexec {sys.executable} -m apex_rtm "$@"\n')
        for program in programs.iterdir():
            program.chmod(0o755)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("APEX_RTM_")}
        self.environ = environ | {
            "PATH": f"{programs}:{os.environ['PATH']}", "XDG_STATE_HOME": str(directory / "state"),
            "PREFIX": str(directory / "opt"), "PYTHON": sys.executable, "PYTHONUNBUFFERED": "1",
            "APEX_RTM_PORT": str(self.ports[0]), "APEX_RTM_URL": f"http://127.0.0.1:{self.ports[0]}",
        }  # fmt: skip
        self._running = contextlib.ExitStack()

    def close(self) -> None:
        """End what stayed."""
        self._running.close()

    def run(self, block: Block) -> None:
        """Do a block to its end, or until it has said the words with which it stays.

        Directory, umask and exported variables go from block to block, as in a terminal that stays open.
        """
        script = f"set -eu\n[ ! -e {self.state} ] || . {self.state}\n" + self._here(block.text)
        if block.stays_with is not None:
            self._leave_running(block, script)
            return
        keep = f'\n{{ export -p; echo "umask $(umask)"; echo \'cd "$PWD"\'; }} > {self.state}\n'
        done = subprocess.run(
            ["sh", "-c", script + keep], cwd=self.work, env=self.environ, capture_output=True, text=True, check=False,
            timeout=280,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{script}\n{done.stdout}{done.stderr}"

    def _leave_running(self, block: Block, script: str) -> None:
        assert block.stays_with is not None
        said = self.directory / f"said-{block.line}"
        with said.open("wb") as output:
            process = subprocess.Popen(
                ["sh", "-c", script], cwd=self.work, env=self.environ, stdout=output, stderr=output, process_group=0
            )
        self._running.callback(process.wait)
        self._running.callback(lambda: os.killpg(process.pid, signal.SIGTERM) if process.poll() is None else None)
        deadline = time.monotonic() + 30
        while block.stays_with not in said.read_text():
            assert process.poll() is None, f"{block} ended: {said.read_text()}"
            assert time.monotonic() < deadline, f"{block}: {said.read_text()}"
            time.sleep(0.02)

    def said(self) -> str:
        """What everything that stays has said so far."""
        return "".join(path.read_text() for path in sorted(self.directory.glob("said-*")))

    def _here(self, text: str) -> str:
        """The commands with the places and ports of this test; nothing else changes."""
        for old, new in (
            ("/opt/apex-rtm-source/", f"{ROOT}/"),
            ("/opt/apex-rtm/current/", f"{self.directory}/opt/current/"),
            ("apex-rtm deploy all ", f"apex-rtm deploy all --root {self.directory}/machine "),
            ("127.0.0.1:3000", f"127.0.0.1:{self.ports[0]}"),
            ("127.0.0.1:3001", f"127.0.0.1:{self.ports[1]}"),
            ("--port 3001", f"--port {self.ports[1]}"),
        ):
            text = text.replace(old, new)
        return text


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", WITH_SHELL, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_commands_of_a_page_run(path: Path, tmp_path: Path) -> None:
    """In order, on one machine: what a later one needs an earlier one has made."""
    with contextlib.closing(Machine(tmp_path)) as machine:
        for block in blocks(path):
            if block.kind == "sh" and block.why_not is None:
                machine.run(block)
        if path.name == "deploy.md":
            _look_at_the_machine(tmp_path)
        if path.name == "tutorial.md":
            _look_at_the_messages(machine)


def _look_at_the_messages(machine: Machine) -> None:
    """What the tutorial promises to appear has appeared, and nobody without rights had a part in it."""
    wanted = ['test  #1  ping  {"value": "Hello"}', 'test  #2  ping  {"value": "from curl"}',
              'orders:17  #2  changed  {"status": "SHIPPED"}']  # fmt: skip
    deadline = time.monotonic() + 10
    while not all(line in machine.said() for line in wanted):
        assert time.monotonic() < deadline, machine.said()
        time.sleep(0.02)
    url = f"http://127.0.0.1:{machine.ports[1]}/api/broadcast"
    refused = httpx.post(url, json={"channel": "orders:17"})
    assert refused.status_code == 401
    told = (block.text for block in blocks(ROOT / "docs" / "tutorial.md") if block.kind == "json")
    assert refused.text == next(told)
    secrets = {path.name: path.stat().st_mode & 0o077 for path in (machine.work / ".work" / "tutorial").iterdir()}
    assert secrets == {"rtm.toml": 0, "key": 0, "token": 0, "rtm-data": 0}
    assert [path.name for path in machine.work.iterdir()] == [".work"]


def _look_at_the_machine(directory: Path) -> None:
    """What section 2, 6 and 8 of the deployment leave behind, and the way back."""
    machine, prefix = directory / "machine", directory / "opt"
    assert (machine / "etc/apex-rtm/apex-rtm.toml").stat().st_mode & 0o777 == 0o600
    assert (machine / "etc/nginx/conf.d/apex-rtm.conf").exists()
    assert (machine / "etc/systemd/system/apex-rtm.service.new").exists()  # --tls came second and found edits
    name = (prefix / "current").readlink().name
    assert re.fullmatch(r"[\d.]+\w*-[0-9a-f]+", name)
    (prefix / "previous").unlink(missing_ok=True)  # there is one where the checkout changed while the page was run
    said = subprocess.run([prefix / "current/bin/apex-rtm", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("apex-rtm, version ")

    back = [str(ROOT / "deploy" / "install.sh"), "--back"]
    environ = {**os.environ, "PREFIX": str(prefix)}
    refused = subprocess.run(back, env=environ, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr) == (1, f"There is no version before this one in {prefix}.\n")
    (prefix / "previous").symlink_to("older")
    for current, previous in (("older", name), (name, "older")):
        subprocess.run(back, env=environ, capture_output=True, check=True)
        assert ((prefix / "current").readlink().name, (prefix / "previous").readlink().name) == (current, previous)
