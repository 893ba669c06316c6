"""`python -m tests.chaos`: the long runs, with figures. `make chaos` runs all of them."""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import click
import uvloop

from tests.chaos import cuts, nodes, slow, storm


@click.group()
def main() -> None:
    """Break things on purpose and count what got lost."""


@main.command("cuts")
@click.option("--seed", type=int, help="Repeat a run; random and printed otherwise.")
@click.option("--clients", default=200, show_default=True)
@click.option("--kills", default=10, show_default=True)
@click.option("--engine", default="sqlite", show_default=True, type=click.Choice(["sqlite", "memory"]))
def cuts_command(seed: int | None, clients: int, kills: int, engine: str) -> None:
    """Random cuts of 0 to 2 s and kill -9 restarts under a steady load."""
    plan = cuts.Plan(
        seed if seed is not None else random.SystemRandom().randrange(2**32), clients, kills=kills, engine=engine
    )
    click.echo(f"seed {plan.seed}")
    with tempfile.TemporaryDirectory() as directory:
        findings, ledger = uvloop.run(cuts.run(plan, Path(directory), click.echo))
    click.echo(cuts.describe(plan, findings, ledger))
    sys.exit(bool(findings.silent_gaps or findings.duplicates or findings.different))


@main.command("storm")
@click.option("--clients", default=5000, show_default=True)
def storm_command(clients: int) -> None:
    """Everybody reconnects at once after a restart."""
    with tempfile.TemporaryDirectory() as directory:
        figures = uvloop.run(storm.run(clients, Path(directory)))
    click.echo(figures.describe())
    sys.exit(bool(figures.health_failures or figures.findings.silent_gaps or figures.findings.duplicates))


@main.command("slow")
@click.option("--slow", "slow_count", default=5000, show_default=True)
@click.option("--messages", default=200, show_default=True)
def slow_command(slow_count: int, messages: int) -> None:
    """Readers that stand still beside readers that do not."""
    with tempfile.TemporaryDirectory() as directory:
        figures = uvloop.run(slow.run(slow_count, messages, Path(directory)))
    click.echo(figures.describe())
    sys.exit(figures.delivered != figures.expected)


@main.command("nodes")
@click.option("--seed", type=int, help="Repeat a run; random and printed otherwise.")
@click.option("--clients", default=600, show_default=True)
@click.option("--durable/--not-durable", default=None, help="Both, one after the other, where neither is said.")
def nodes_command(seed: int | None, clients: int, durable: bool | None) -> None:
    """Three nodes behind nginx on one Redis; each of them is killed, cut off, silenced, paused and rolled."""
    seed = seed if seed is not None else random.SystemRandom().randrange(2**32)
    is_bad = False
    for is_durable in (True, False) if durable is None else (durable,):
        plan = nodes.Plan(seed, clients, durable=is_durable)
        click.echo(f"seed {plan.seed}")
        with tempfile.TemporaryDirectory() as directory:
            seen, ledger = uvloop.run(nodes.run(plan, Path(directory), click.echo))
        click.echo(nodes.describe(plan, seen, ledger))
        is_bad = is_bad or bool(seen.silent_gaps or seen.duplicates or seen.different or seen.twice)
    sys.exit(is_bad)


if __name__ == "__main__":
    main()
