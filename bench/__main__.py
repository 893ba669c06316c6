"""`python -m bench`: run everything and write docs/performance.md. `make bench` calls it."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace

import click

from bench.contestants import ALL, find_contestants, has_io_uring
from bench.ledger import Ledger
from bench.machine import describe_machine
from bench.plan import FULL, QUICK, Run
from bench.report import print_report, write_report
from bench.room import fit, raise_file_limit
from bench.scenario import SCENARIOS
from bench.targets import judge


@click.command()
@click.option("--quick", is_flag=True, help="Smaller and once instead of three times; writes nothing.")
@click.option("--only", multiple=True, type=click.Choice(list(SCENARIOS)), help="Run this scenario; repeatable.")
@click.option(
    "--peer", "peer_names", multiple=True, type=click.Choice([peer.name for peer in ALL]),
    help="Let only these take part; repeatable.",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(1), help="How often everybody takes a turn.")
@click.option("--write/--no-write", default=None, help="Write docs/performance.md (default: for a full run).")
def main(
    *, quick: bool, only: tuple[str, ...], peer_names: tuple[str, ...], rounds: int | None, write: bool | None
) -> None:
    """Measure apex-rtm and its peers in turn."""
    started = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - started:6.1f} s  {text}")

    if shutil.which("gcc") is None:
        raise click.ClickException(
            "the load generator is written in C: gcc is needed (apt install gcc / dnf install gcc)"
        )
    raise_file_limit()
    peers, missing = find_contestants(peer_names)
    for name, reason in missing.items():
        say(f"{name} takes no part: {reason}")
    if not has_io_uring():
        say("no io_uring here: apex-rtm writes one by one, as in a container that forbids it")
    scale = QUICK if quick else FULL
    if rounds is not None:
        scale = replace(scale, rounds=rounds)
    ledger = Ledger()
    scale = fit(scale, ledger.notes.append)
    for note in ledger.notes:
        say(note)
    run = Run(scale, peers, ledger, say)
    for name, scenario in SCENARIOS.items():
        if not only or name in only:
            scenario(run)
    machine = describe_machine(peers, missing, seconds=time.monotonic() - started, quick=quick)
    verdicts = judge(run.ledger, scale)
    print_report(run.ledger, verdicts)
    is_whole = not quick and not only and not peer_names
    if write if write is not None else is_whole:
        for path in write_report(run.ledger, verdicts, machine, scale):
            say(f"wrote {path}")


if __name__ == "__main__":
    main()
