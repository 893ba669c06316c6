"""All checks together: the road a set of scripts goes down, and what was done on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tools.plsql.check_conduct import check_conduct
from tools.plsql.check_errors import check_errors
from tools.plsql.check_mle import check_mle
from tools.plsql.check_names import check_names
from tools.plsql.check_naming import check_naming
from tools.plsql.check_secrets import check_secrets
from tools.plsql.check_structure import check_ends, check_signatures, check_sizes
from tools.plsql.check_uninstall import check_uninstall
from tools.plsql.finding import Finding
from tools.plsql.grammar import check_grammar
from tools.plsql.world import World, read_world

CHECKS: dict[str, Callable[[World], list[Finding]]] = {
    "signatures": check_signatures,
    "ends": check_ends,
    "sizes": check_sizes,
    "names": check_names,
    "naming": check_naming,
    "errors": check_errors,
    "conduct": check_conduct,
    "secrets": check_secrets,
    "mle": check_mle,
    "uninstall": check_uninstall,
}


@dataclass(slots=True)
class Report:
    """What was read and what was found. ``masks`` counts the false alarms of the grammar that were hidden."""

    files: int = 0
    pieces: int = 0
    units: int = 0
    masks: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)


def run_checks(world: World, *names: str) -> list[Finding]:
    """Every finding that needs no Node.js; only those of the checks in ``names``, if there are any."""
    findings = list(world.findings)
    for name in names or CHECKS:
        findings.extend(CHECKS[name](world))
    return sorted(set(findings))


def run(scripts: list[Path], root: Path) -> Report:
    """Everything: reading, the grammar gate and all checks."""
    world = read_world(scripts, root)
    grammar, masks = check_grammar(world.pieces)
    findings = sorted({*run_checks(world), *grammar})
    return Report(len(world.files), len(world.pieces), len(world.units), masks, findings)
