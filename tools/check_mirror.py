"""Every module has its tests where one looks for them, and no file grows beyond its budget.

python -m tools.check_mirror    name what is missing, orphaned or too long; exit code 1 where there is something

`src/apex_rtm/hub.py` is tested in `tests/test_hub.py`, `src/apex_rtm/edge/ws.py` in `tests/edge/test_ws.py`. The tables
below name what is tested under another name, and test files that show a scenario instead of one module.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = Path("src/apex_rtm")
TESTS: Final = Path("tests")
MAX_SOURCE_LINES: Final = 400
MAX_TEST_LINES: Final = 600

# Packages whose tests are grouped by what the package does, each module in one of several files.
GROUPED: Final = {"relay", "database", "deploy"}

# Module -> the file that tests it, where that is not the one of its own name.
ELSEWHERE: Final = {
    "__init__.py": "test_cli.py",  # the version
    "__main__.py": "test_cli.py",
    "console/__init__.py": "console/test_pages.py",
    "demo/__init__.py": "test_demo.py",
    "metrics/__init__.py": "test_metrics.py",
    "metrics/node.py": "metrics/test_collect.py",  # a record of what the figures are read from
    "pages.py": "test_app.py",
    "surroundings.py": "test_session.py",
    "engine/base.py": "engine/test_contract.py",
    "engine/alone.py": "engine/test_contract.py",
    "engine/make.py": "test_app.py",
    # What talks to Redis is shown with a real one, all of it together.
    "engine/redis/commands.py": "engine/redis/test_engine.py",
    "engine/redis/attendance.py": "nodes/test_cores.py",
    "engine/redis/nodes.py": "nodes/test_cores.py",
    "engine/redis/reader.py": "engine/redis/test_engine.py",
    "engine/redis/servers.py": "engine/redis/test_engine.py",
    "engine/redis/scripts.py": "engine/redis/test_engine.py",
    "engine/redis/server.py": "engine/redis/test_engine.py",
    "engine/redis/start.py": "engine/redis/test_engine.py",
    "engine/redis/topics.py": "engine/redis/test_engine.py",
    "engine/redis/topology.py": "engine/redis/test_engine.py",
    "engine/redis/wire.py": "engine/redis/test_engine.py",
    "redis_settings.py": "test_settings.py",
    "peer.py": "support/peer.py",  # an interface: the double that implements it is checked by mypy
    "deploy_commands.py": "deploy/test_commands.py",
    "oracle_commands.py": "database/test_commands.py",
    "oracle_settings.py": "test_settings.py",
}

# Test files beside the modules that show a scenario: they have no module of their name.
SCENARIOS: Final = {
    "console/test_wheel.py",
    "metrics/test_dashboards.py",
    "engine/test_contract.py",
    "test_mirror.py",
    "test_protocol_document.py",
    "test_recipe_pages.py",
    "test_recovery_model.py",
    "test_session_time.py",
    "test_smoke.py",
}


def expected_test(module: Path) -> Path:
    """Where the tests of a module belong; both paths are relative to their roots."""
    name = ELSEWHERE.get(module.as_posix())
    return Path(name) if name is not None else module.parent / f"test_{module.name}"


def problems(root: Path) -> list[str]:
    """Say what is missing, orphaned or too long under `root`, one sentence each."""
    modules = [path.relative_to(root / SOURCE) for path in sorted((root / SOURCE).rglob("*.py"))]
    return [*_missing(root, modules), *_orphaned(root, modules), *_too_long(root)]


def _missing(root: Path, modules: list[Path]) -> list[str]:
    found = []
    for module in modules:
        if _is_bare(root / SOURCE / module) or (module.parts[0] in GROUPED and module.as_posix() not in ELSEWHERE):
            continue
        test = expected_test(module)
        if not (root / TESTS / test).is_file():
            found.append(f"{SOURCE / module}: its tests belong in {TESTS / test}, which is not there")
    untested = [
        package
        for package in sorted({module.parts[0] for module in modules} & GROUPED)
        if not list((root / TESTS / package).glob("test_*.py"))
    ]
    return found + [f"{SOURCE / name}: its tests belong in {TESTS / name}/, where there are none" for name in untested]


def _is_bare(path: Path) -> bool:
    """Tell whether a package's `__init__` has nothing but its docstring."""
    return path.name == "__init__.py" and len(path.read_text(encoding="utf-8").splitlines()) <= 1


def _orphaned(root: Path, modules: list[Path]) -> list[str]:
    """Find test files beside mirrored modules whose module is gone: it was renamed, and its tests were not."""
    mirrored = {module.parent for module in modules if module.parts[0] not in GROUPED}
    known = {expected_test(module).as_posix() for module in modules} | SCENARIOS
    tests = [
        path.relative_to(root / TESTS) for folder in mirrored for path in (root / TESTS / folder).glob("test_*.py")
    ]
    orphans = sorted(test.as_posix() for test in tests if test.as_posix() not in known)
    gone = sorted(name for name in SCENARIOS if not (root / TESTS / name).is_file())
    return [
        *(f"{TESTS / name}: there is no module of this name; move it to a folder of scenarios" for name in orphans),
        *(f"{TESTS / name}: tools/check_mirror.py knows this scenario, but it is not there" for name in gone),
    ]


def _too_long(root: Path) -> list[str]:
    budgets = [(path, MAX_SOURCE_LINES) for path in (root / SOURCE).rglob("*.py")]
    budgets += [(path, MAX_TEST_LINES) for path in (root / TESTS).rglob("*.py")]
    return [
        f"{path.relative_to(root)}: {count} lines, at most {most} are allowed"
        for path, most in sorted(budgets)
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > most
    ]


def main() -> int:
    """Print every problem; return the exit code."""
    found = problems(ROOT)
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
