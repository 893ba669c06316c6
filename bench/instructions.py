"""`python -m bench.instructions`: instructions that the server executes, by callgrind, against those noted last time.

A regression guard for the hot path. Instructions are counted, not timed: the machine may be as busy as it likes, and
the counts repeat within a few per cent (what arrives together in one read is up to the kernel). What the kernel does
is not in them. The start under valgrind takes a minute or two.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import click

import bench.peer
from bench.build import WORK
from bench.contestants import APEX_RTM, has_io_uring
from bench.peer import Launch, Server, batch_of

NOTED: Final = Path(__file__).parent.parent / "docs" / "performance" / "instructions.json"
MOST_GROWTH: Final = 1.10
_PATIENT: Final[dict[str, Any]] = {"patience": 120}
_FEW, _MANY, _BATCH = 1, 200, 100


def _command(launch: Launch) -> list[str]:
    out = f"--callgrind-out-file={launch.directory / 'callgrind.out'}"
    log = f"--log-file={WORK / 'valgrind.log'}"
    python = [sys.executable, "-m", "apex_rtm", "serve", "--port", str(launch.port)]
    return ["valgrind", "--tool=callgrind", out, log, *python]


def _count(server: Server) -> int:
    """Read the counter of the running server."""
    done = subprocess.run(
        ["callgrind_control", "-e", "-b", str(server.pids[0])], capture_output=True, text=True, check=True
    )
    return sum(int(found.replace(",", "")) for found in re.findall(r"^ +Th +\d+ +([\d,]+)", done.stdout, re.MULTILINE))


def _publishing(server: Server, publications: int, body: bytes | None = None, **options: Any) -> float:
    """Instructions for each of some publications."""
    server.publish(publications // 2, body, **_PATIENT, **options)
    before = _count(server)
    server.publish(publications, body, **_PATIENT, **options)
    return (_count(server) - before) / publications


def measure() -> dict[str, int]:
    """Start the server in both of its ways to write, and count everything."""
    bench.peer.START_TIMEOUT_S = 300
    peer = dataclasses.replace(APEX_RTM, command=_command, environ=lambda launch: {
        **APEX_RTM.environ(launch), "PYTHONHASHSEED": "0", "APEX_RTM_PING_INTERVAL_S": "3600",
    })  # fmt: skip
    with Server(peer, io_uring=False) as server:
        server.subscribe(_FEW, patience=120)
        few = _publishing(server, 100)
        server.subscribe(_MANY - _FEW, patience=120)
        one_by_one = (_publishing(server, 50) - few) / (_MANY - _FEW)
    with Server(peer) as server:
        server.subscribe(_FEW, patience=120)
        alone = _publishing(server, 100)
        body = batch_of(peer.body(), _BATCH)
        in_batch = _publishing(server, 6, body, batch=_BATCH, path="/api/broadcast/batch") / _BATCH
        server.subscribe(_MANY - _FEW, patience=120)
        together = _publishing(server, 50)
        large = _publishing(server, 20, peer.body(value_bytes=10_000))
    return {
        "a publish with one subscriber": round(alone),
        "a message of a batch of 100": round(in_batch),
        **({"a delivery": round((together - alone) / (_MANY - _FEW))} if has_io_uring() else {}),
        "a delivery without io_uring": round(one_by_one),
        **({"a publish of 10,000 bytes, 200 subscribers": round(large)} if has_io_uring() else {}),
    }


@click.command()
@click.option("--write", is_flag=True, help="Note these counts as what later ones are compared with.")
def main(*, write: bool) -> None:
    """Count, print, and fail when something has grown by more than a tenth."""
    if shutil.which("valgrind") is None:
        raise click.ClickException("valgrind is needed: apt install valgrind")
    counts = measure()
    noted: dict[str, int] = json.loads(NOTED.read_text()) if NOTED.exists() else {}
    grown = []
    for what, count in counts.items():
        before = noted.get(what)
        ratio = count / before if before else 1.0
        click.echo(f"{count:>12,} instructions  {what}" + (f"  ({ratio:.2f} × the noted {before:,})" if before else ""))
        if ratio > MOST_GROWTH:
            grown.append(what)
    if write:
        NOTED.parent.mkdir(parents=True, exist_ok=True)
        NOTED.write_text(json.dumps(counts, indent=1) + "\n")
    elif grown:
        raise click.ClickException(f"over {MOST_GROWTH} × what was noted: {', '.join(grown)}")


if __name__ == "__main__":
    main()
