"""The catalogue holds what the scripts use of the supplied packages, and no more."""

from __future__ import annotations

import json
from pathlib import Path

from tools.plsql.catalogue import read_catalogue
from tools.plsql.gather import gather, text_of

FACTS = {
    "_about": "Read somewhere. And more.",
    "pkg_a": {
        "subprograms": [
            {"kind": "procedure", "name": "used", "params": [{"name": "p", "mode": "in", "type": "t_shape"}]},
            {"kind": "procedure", "name": "unused", "params": []},
            {"kind": "function", "name": "secret", "params": [], "returns": "raw", "internal": True},
        ],
        "constants": ["c_one", "c_two"],
        "exceptions": ["e_one"],
        "records": {"t_shape": ["a number"], "t_other": ["b number"]},
    },
    "pkg_b": {"source": "A book", "confidence": "known", "subprograms": []},
    "kind_t": {
        "inherits": "base_t",
        "subprograms": [{"kind": "function", "name": "grow", "scope": "member", "params": [], "returns": "number"}],
    },
    "base_t": {"subprograms": []},
}


def test_only_what_is_used_is_taken_over_with_its_source(tmp_path: Path) -> None:
    facts, script, catalogue = tmp_path / "facts.json", tmp_path / "s.sql", tmp_path / "catalogue.json"
    facts.write_text(json.dumps(FACTS))
    script.write_text(
        "declare\n  l kind_t;\nbegin\n  pkg_a.used(p => pkg_a.c_one);\n  x := l.grow();\n"
        "  other.unused; other.secret;\n  execute immediate 'begin pkg_a.e_one; end;';\nend;\n/\n"
    )

    catalogue.write_text(text_of(gather([facts], [script])))
    packages = read_catalogue(catalogue).packages

    assert set(packages) == {"pkg_a", "kind_t", "base_t"}
    assert set(packages["pkg_a"].subprograms) == {"used"}
    assert packages["pkg_a"].constants == {"c_one"}
    assert packages["pkg_a"].exceptions == {"e_one"}
    assert set(packages["pkg_a"].records) == {"t_shape"}, "the type of a parameter comes along"
    assert packages["pkg_a"].source == "Read somewhere"
    assert packages["kind_t"].inherits == "base_t"
    assert set(packages["kind_t"].subprograms) == {"grow"}


def test_no_catalogue_is_an_empty_one(tmp_path: Path) -> None:
    assert read_catalogue(tmp_path / "none.json").packages == {}
