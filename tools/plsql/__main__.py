"""Check the Oracle scripts of this project, or those that are named, without an Oracle database.

Prints one line for each finding, ``file:line: message [rule]``, and a line that says what was read. Exits with 0 when
nothing was found, with 1 when something was, with 2 when the checks could not run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.plsql.grammar import GateMissingError
from tools.plsql.mutate import describe, mutation_run
from tools.plsql.suite import run
from tools.plsql.world import roots

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Run the checks; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.plsql", description=__doc__)
    parser.add_argument("scripts", nargs="*", type=Path, help="SQL*Plus scripts; without any: db/*.sql")
    parser.add_argument("--mutate", action="store_true", help="break one token at a time: the checks must notice")
    parser.add_argument("--samples", type=int, default=1200, help="with --mutate: how many mutants (default 1200)")
    options = parser.parse_args(arguments)
    scripts = [path.resolve() for path in options.scripts] or roots(ROOT / "db")
    missing = [path for path in scripts if not path.is_file()]
    if missing:
        print(f"there is no file {missing[0]}", file=sys.stderr)
        return 2
    try:
        if options.mutate:
            result = mutation_run(scripts, ROOT, options.samples)
            print(describe(result))
            return 0 if result.is_good else 1
        report = run(scripts, ROOT)
    except GateMissingError as error:
        print(error, file=sys.stderr)
        return 2
    for finding in report.findings:
        print(finding)
    masks = ", ".join(f"{name} {count}" for name, count in sorted(report.masks.items())) or "none"
    print(f"{report.files} files, {report.pieces} statements, {report.units} units; masked for the grammar: {masks}")
    print(f"{len(report.findings)} finding(s)")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
