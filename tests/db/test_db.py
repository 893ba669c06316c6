"""The scripts of db/ pass everything, and the command says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.plsql.__main__ import main
from tools.plsql.grammar import ROOT, check_grammar
from tools.plsql.lexer import END, tokenize
from tools.plsql.script import PLSQL
from tools.plsql.suite import run_checks
from tools.plsql.world import World, read_world, roots

DB = ROOT / "db"
PUBLISHED_SCRIPTS = [
    "01_rtm_log_table.sql",
    "02_rtm_log_api.sql",
    "03_websocket_sender_module.sql",
    "04_websocket_send_broadcast.sql",
    "05_websocket_api.sql",
    "06_websocket_pkg.sql",
]


@pytest.fixture(scope="module")
def world() -> World:
    return read_world(roots(DB), ROOT)


def test_scripts_have_no_findings(world: World) -> None:
    assert [str(finding) for finding in run_checks(world)] == []


@pytest.mark.slow
def test_grammar_accepts_every_unit(world: World) -> None:
    findings, masks = check_grammar(world.pieces)

    assert [str(finding) for finding in findings] == []
    assert masks.total() <= 60, f"so many masks hide more than they should: {masks}"


def test_every_source_is_installed_by_a_script(world: World) -> None:
    """A package file that no script includes is checked by nobody and installed by nobody."""
    sources = {path for path in DB.rglob("*") if path.suffix in (".sql", ".pks", ".pkb")}

    assert {path.relative_to(DB).as_posix() for path in sources - set(world.files)} == set()


def test_install_runs_every_numbered_script_of_the_first_releases(world: World) -> None:
    installed = read_world([DB / "install.sql"], ROOT)

    assert [name for name in PUBLISHED_SCRIPTS if DB / name not in installed.files] == []


def test_one_package_in_a_file_specification_and_body_apart(world: World) -> None:
    for path in sorted((DB / "packages").iterdir()):
        units = [
            unit for unit in world.units if unit.path == path.relative_to(ROOT).as_posix() and unit.kind != "block"
        ]
        wanted = {".pks": "package", ".pkb": "package body"}[path.suffix]
        assert [(unit.kind, unit.name) for unit in units] == [(wanted, path.stem)]


def test_catalogue_names_the_source_of_every_package(world: World) -> None:
    words = {token.low for piece in world.pieces if piece.kind == PLSQL for token in tokenize(piece.text)} - {END}
    packages = world.catalogue.packages

    assert all(len(package.source) > 20 for package in packages.values())
    unused = [name for name in packages if name not in words and not any(p.inherits == name for p in packages.values())]
    assert unused == [], "run: python -m tools.plsql.gather"


@pytest.mark.slow
@pytest.mark.parametrize(("relation", "code"), [("user_objects", 0), ("user_objetcs", 1)])
def test_command_prints_each_finding_with_its_place_and_what_was_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, relation: str, code: int
) -> None:
    script = tmp_path / "count.sql"
    text = f"declare\n  l_count pls_integer;\nbegin\n  select count(*) into l_count from {relation};\nend;\n/\n"
    script.write_text(text.replace("end;", "  dbms_output.put_line(l_count);\nend;"))

    assert main([str(script)]) == code

    out = capsys.readouterr().out
    assert (f"{script}:4: '{relation}' is not declared [names]\n" in out) is (code == 1)
    assert f"1 files, 1 statements, 1 units; masked for the grammar: none\n{code} finding(s)\n" in out


def test_command_refuses_a_script_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no/such.sql"]) == 2
    assert "no/such.sql" in capsys.readouterr().err


def test_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])

    assert stop.value.code == 0
    assert "--mutate" in capsys.readouterr().out
