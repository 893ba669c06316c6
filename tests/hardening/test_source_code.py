"""Attacks that the source itself must not open a door to, read from its syntax tree rather than by eye."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = sorted((ROOT / "src" / "apex_rtm").rglob("*.py"))
# Each of these turns bytes from outside into code, or text into a command.
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "jsonpickle", "yaml", "subprocess", "pty", "code", "codeop"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "system", "popen"}


def _modules(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def _calls(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(name):
                    found.add(name)
                case ast.Attribute(ast.Name("os" | "builtins"), name):
                    found.add(name)
    return found


def _forbidden(source: str) -> set[str]:
    tree = ast.parse(source)
    return (_modules(tree) & FORBIDDEN_MODULES) | (_calls(tree) & FORBIDDEN_CALLS)


@pytest.mark.parametrize(
    "source", ["import pickle", "from marshal import loads", "eval('1')", "import os\nos.system('x')"]
)
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    """A search that finds nothing may as well be broken."""
    assert _forbidden(source)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_nothing_from_outside_becomes_code(path: Path) -> None:
    """Pickle from a queue, eval of a filter, a shell around a name: remote code execution, each of them seen."""
    assert _forbidden(path.read_text(encoding="utf-8")) == set()


def test_sql_is_never_put_together_from_values() -> None:
    """A channel name in an f-string of SQL is an injection; the one number that must be written in is a constant."""
    found = []
    for path in (ROOT / "src" / "apex_rtm" / "engine").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and "execute" in node.func.attr:
                first = node.args[0] if node.args else None
                found += [ast.unparse(first)] if isinstance(first, ast.JoinedStr | ast.BinOp) else []
    assert [text for text in found if not re.fullmatch(r"f'pragma user_version = \{_SCHEMA_VERSION\}'", text)] == []


def test_the_published_page_of_attacks_names_tests_that_exist() -> None:
    """A list of defences is worth what its tests are: each test named in docs/hardening.md must be there."""
    page = (ROOT / "docs" / "hardening.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) >= 32
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)]
    assert numbers == list(range(1, 33))
    for file, test in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in source, f"{file}::{test}"
