"""The suites of tests/oracle/utplsql, checked like the packages they test and run in the sandbox.

They are written for a real database. Here it is shown that they are sound code and that they hold for the sources as
they stand, so that a failure over there says something about Oracle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools.plsql.catalogue import Catalogue, Formal, Package, Signature, read_catalogue
from tools.plsql.grammar import ROOT, check_grammar
from tools.plsql.suite import run_checks
from tools.plsql.world import World, read_world, roots

from tests.db.sandbox.session import Session
from tests.db.sandbox.values import OracleError, Value, compare, text_of

SUITES = sorted(
    (ROOT / "tests" / "oracle" / "utplsql").glob("*.pk[sb]"), key=lambda path: (path.stem, path.suffix[::-1])
)
EXPECTATIONS = {
    "to_equal": ["a_expected"],
    "to_be_true": [],
    "to_be_false": [],
    "to_be_greater_than": ["a_expected"],
    "to_be_like": ["a_mask"],
}
_ANNOTATED = re.compile(r"((?:--%\w+(?:\([^\n]*\))?\s+)+)procedure\s+(\w+)")


class ExpectationError(Exception):
    """An expectation that does not hold."""


class Expectation:
    """What UT.EXPECT gives: a value to say something of."""

    type_name = "ut_expectation"

    def __init__(self, actual: Value) -> None:
        self.actual = actual

    def _demand(self, holds: object, wanted: Value) -> None:
        if holds is not True:
            raise ExpectationError(f"{self.actual!r}, wanted {wanted!r}")

    def to_equal(self, a_expected: Value) -> None:
        self._demand(compare("=", self.actual, a_expected), a_expected)

    def to_be_true(self) -> None:
        self._demand(self.actual, wanted=True)

    def to_be_false(self) -> None:
        self._demand(self.actual is False, wanted=False)

    def to_be_greater_than(self, a_expected: Value) -> None:
        self._demand(compare(">", self.actual, a_expected), a_expected)

    def to_be_like(self, a_mask: Value) -> None:
        pattern = re.escape(str(a_mask)).replace("%", ".*")
        self._demand(re.fullmatch(pattern, text_of(self.actual) or "", re.DOTALL) is not None, a_mask)


def fail(message: Value) -> None:
    raise ExpectationError(str(message))


def ut_catalogue() -> Catalogue:
    """The catalogue with what the suites use of utPLSQL 3 (its API documentation, "Expectations")."""
    catalogue = read_catalogue()
    expect = Signature("function", "expect", [Formal("a_actual", "in", "any", optional=False)], "ut_expectation")
    failed = Signature("procedure", "fail", [Formal("a_message", "in", "varchar2", optional=False)], None)
    members = {
        name: [Signature("procedure", name, [Formal(item, "in", "any", optional=False) for item in formals], None)]
        for name, formals in EXPECTATIONS.items()
    }
    source = "utPLSQL 3, user guide, Expectations"
    for name, subprograms in (("ut", {"expect": [expect], "fail": [failed]}), ("ut_expectation", members)):
        types = {name: "object"} if name == "ut_expectation" else {}
        catalogue.packages[name] = Package(name, source, None, subprograms, set(), set(), {}, types)
    return catalogue


@pytest.fixture(scope="module")
def suites() -> World:
    """db/ and the suites."""
    world = read_world([*roots(ROOT / "db"), *SUITES], ROOT)
    world.catalogue = ut_catalogue()
    return world


def cases() -> Iterator[tuple[str, str, str]]:
    """(package, procedure, annotations) of every annotated procedure."""
    for path in SUITES:
        if path.suffix == ".pks":
            for annotations, name in _ANNOTATED.findall(path.read_text(encoding="utf-8")):
                yield path.stem, name, annotations


TESTS = [(package, name, text) for package, name, text in cases() if "--%test(" in text]


def test_suites_are_sound_code(suites: World) -> None:
    names = {path.relative_to(ROOT).as_posix() for path in SUITES}

    found = run_checks(suites, "signatures", "ends", "sizes", "names", "naming", "secrets")

    assert [str(finding) for finding in found if finding.path in names] == []


@pytest.mark.slow
def test_grammar_accepts_the_suites(suites: World) -> None:
    names = {path.relative_to(ROOT).as_posix() for path in SUITES}

    findings, _ = check_grammar([piece for piece in suites.pieces if piece.path in names])

    assert [str(finding) for finding in findings] == []


def test_every_package_of_the_suites_has_tests() -> None:
    assert {package for package, _, _ in TESTS} == {path.stem for path in SUITES}
    assert len(TESTS) >= 20


@pytest.mark.parametrize(("package", "name", "annotations"), TESTS, ids=[f"{item[0]}.{item[1]}" for item in TESTS])
def test_case_holds_in_the_sandbox(suites: World, tmp_path: Path, package: str, name: str, annotations: str) -> None:
    session = Session(tmp_path, suites)
    session.machine.supplied.update({"ut.expect": Expectation, "ut.fail": fail})
    wanted = re.search(r"--%throws\((-\d+)\)", annotations)
    try:
        for other, before, text in cases():
            if other == package and "--%beforeeach" in text:
                session.call(f"{package}.{before}")
        if wanted is None:
            session.call(f"{package}.{name}")
        else:
            with pytest.raises(OracleError) as error:
                session.call(f"{package}.{name}")
            assert error.value.code == int(wanted.group(1)), str(error.value)
    finally:
        session.machine.database.close()
