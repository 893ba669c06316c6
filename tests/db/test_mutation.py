"""The checks are worth their name: they notice nearly every broken token."""

from __future__ import annotations

import pytest
from tools.plsql.grammar import ROOT
from tools.plsql.mutate import LEAST_CAUGHT, Mutant, Result, describe, mutants_of, mutation_run
from tools.plsql.world import read_world, roots

from tests.db.planted import SAMPLES


def test_mutants_are_one_token_each_and_the_same_in_every_run() -> None:
    world = read_world(roots(SAMPLES), SAMPLES)

    mutants = mutants_of(world)

    assert mutants == mutants_of(world)
    for mutant in mutants:
        source = world.unit_pieces[mutant.unit].text
        text = mutant.text(source)
        assert text != source
        assert text.startswith(source[: mutant.was.start])
        assert text.endswith(source[mutant.was.end :])
    assert {mutant.kind for mutant in mutants} == {"deleted", "changed"}
    assert {world.units[mutant.unit].kind for mutant in mutants} == {"package body", "function"}


def test_result_names_its_survivors_and_fails_below_the_limit() -> None:
    good = Result(total=100, caught={"names": 98}, survivors=["a.pkb:1: x", "a.pkb:2: y"])
    bad = Result(total=100, caught={"names": 97}, survivors=["a", "b", "c"])

    assert good.is_good
    assert not bad.is_good
    assert not Result().is_good, "a run without mutants proves nothing"
    assert "survived: a.pkb:2: y" in describe(good)
    assert "98 of 100 mutants caught (98.0%)" in describe(good)


def test_blind_checks_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without checks and without a grammar, what only they can see survives."""
    monkeypatch.setattr("tools.plsql.mutate.CHECKS", {})
    monkeypatch.setattr("tools.plsql.mutate.complaints", lambda texts: [[] for _ in texts])

    result = mutation_run(roots(SAMPLES), SAMPLES, 100)

    assert not result.is_good
    assert any("became" in survivor for survivor in result.survivors)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_broken_tokens_are_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    """A sample of what ``python -m tools.plsql --mutate`` does."""
    result = mutation_run(roots(ROOT / "db"), ROOT, 100)

    with capsys.disabled():
        print(f"\n{describe(result)}")
    assert result.total == 100
    assert result.share >= LEAST_CAUGHT, describe(result)


def test_mutant_of_the_last_token_is_a_mutant_too() -> None:
    world = read_world(roots(SAMPLES), SAMPLES)
    last = [mutant for mutant in mutants_of(world) if mutant.kind == "deleted"][-1]

    assert isinstance(last, Mutant)
    assert last.was.text == ";"
