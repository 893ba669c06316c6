"""Every semantic check sees the faults it is there for, and says nothing about the samples without one.

The faults are in faults/*.toml: one change to one file of the samples each.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.plsql.check_naming import PUBLISHED
from tools.plsql.suite import run_checks
from tools.plsql.world import read_world, roots

from tests.db.planted import SAMPLES, Fault, assert_found, faults, findings_of, plant

BODY = "packages/note_api.pkb"


def test_samples_without_a_fault_have_no_findings() -> None:
    findings = run_checks(read_world(roots(SAMPLES), SAMPLES))

    assert [str(finding) for finding in findings] == []


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.id)
def test_planted_fault_is_found(fault: Fault, tmp_path: Path) -> None:
    assert_found(findings_of(tmp_path, fault), fault)


def test_line_of_a_finding_is_the_line_of_the_fault(tmp_path: Path) -> None:
    world = plant(tmp_path, (BODY, "return l_note;\n  exception", "return l_nota;\n  exception"))

    (finding,) = [item for item in run_checks(world) if "l_nota" in item.message]

    source = (tmp_path / BODY).read_text().splitlines()
    assert "l_nota" in source[finding.line - 1]
    assert str(finding).startswith(f"{BODY}:{finding.line}: ")


def test_private_function_in_sql_is_refused(tmp_path: Path) -> None:
    short = """
  function short(p_text in varchar2) return varchar2 is
  begin
    return substr(p_text, 1, 3);
  end short;

  procedure add_note("""
    world = plant(
        tmp_path,
        (BODY, "\n  procedure add_note(", short),
        (BODY, "values (nvl(p_title, c_untitled), p_body)", "values (short(p_text => p_title), p_body)"),
    )

    assert any("PLS-00231" in finding.message for finding in run_checks(world))


def test_published_parameter_names_are_kept() -> None:
    """``p_token out`` of WEBSOCKET_PKG.REGISTER was published before these rules."""
    assert {("websocket_pkg", "register", "p_token")} == PUBLISHED
