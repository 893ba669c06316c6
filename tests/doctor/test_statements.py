"""Every line of SQL that the doctor runs or prints, held to the names of db/ and to Oracle's published grammar."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tools.plsql.grammar import GateMissingError, complaints
from tools.plsql.suite import run_checks
from tools.plsql.world import read_world, roots

from apex_rtm.doctor import statements
from apex_rtm.doctor.statements import BROADCAST, with_nonce

ROOT = Path(__file__).resolve().parent.parent.parent
OWN = {
    name: value.strip()
    for name, value in vars(statements).items()
    if name.isupper() and not name.startswith("_") and isinstance(value, str)
}
SQL = re.compile(r"(begin|declare|select|insert|alter|grant)\s", re.IGNORECASE)
# Valid Oracle that the published grammar does not know: MLE, and what is not PL/SQL's.
UNKNOWN_TO_GRAMMAR = ("alter system ", "grant create mle ", "alter rtm_log rtm_log compile")
COMMENT = re.compile(r"\s{4}(--|#).*$", re.DOTALL)


def _literal(node: ast.expr) -> str | None:
    """A text of the source; what is put into an f-string becomes a name that no check knows."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [str(part.value) if isinstance(part, ast.Constant) else "rtm_log" for part in node.values]
        return "".join(parts)
    return None


def printed() -> set[str]:
    """The remedies in SQL and PL/SQL of one line, wherever they stand in the source."""
    found = set()
    for path in (ROOT / "src" / "apex_rtm" / "doctor").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
        for node in ast.walk(tree):
            text = _literal(node) if isinstance(node, ast.expr) and id(node) not in inside else None
            if text is not None and path.name != "statements.py" and SQL.match(text) and ";" in text:
                found.add(COMMENT.sub("", text).replace("{schema}", "rtm").strip())
    return found


def script_of(texts: list[str]) -> str:
    """One script. A query becomes a loop, because only there the checks look at its columns."""
    lines = []
    for text in texts:
        if text.startswith("select"):
            lines.append(f"begin\n  for rec_one in (\n{text.rstrip(';')}\n) loop\n    null;\n  end loop;\nend;\n/")
        elif text.startswith(("begin", "declare")):
            lines.append(f"{text}\n/")
        else:
            lines.append(text if text.endswith(";") else f"{text};")
    return "\n".join(lines) + "\n"


def findings(tmp_path: Path, texts: list[str]) -> list[str]:
    """What the checks of names have against these texts, with everything of db/ in view."""
    path = tmp_path / "doctor.sql"
    path.write_text(script_of(texts), encoding="utf-8")
    found = run_checks(read_world([*roots(ROOT / "db"), path], ROOT), "names")
    return [f"{finding.line}: {finding.message}" for finding in found if finding.path.endswith("doctor.sql")]


def test_everything_is_found() -> None:
    assert len(OWN) == 18
    assert len(printed()) >= 15
    assert any("set_value('api_key'" in text for text in printed())


def test_every_name_is_one_of_db_or_of_the_dictionary(tmp_path: Path) -> None:
    assert findings(tmp_path, list(OWN.values())) == []


def test_every_remedy_calls_what_there_is(tmp_path: Path) -> None:
    texts = sorted(text for text in printed() if not text.startswith(("alter", "grant")))
    assert findings(tmp_path, texts) == []


def test_a_wrong_name_would_be_seen(tmp_path: Path) -> None:
    assert findings(tmp_path, ["select additional_infos from user_scheduler_job_run_details"])
    assert findings(tmp_path, [BROADCAST.strip().replace("p_delivery", "p_deliver")])


@pytest.mark.slow
def test_the_published_grammar_has_nothing_against_them() -> None:
    asked = [text for text in [*OWN.values(), *sorted(printed())] if not text.startswith(UNKNOWN_TO_GRAMMAR)]
    texts = [text if text.endswith(";") else f"{text};" for text in asked]
    try:
        broken, *found = complaints(["select failures from where id = 1;", *texts])
    except GateMissingError as missing:
        pytest.skip(f"not run: {missing}")
    assert broken, "the gate sees nothing"
    assert {text: wrong for text, wrong in zip(texts, found, strict=True) if wrong} == {}


def test_a_nonce_is_all_that_can_be_put_in() -> None:
    assert '{"nonce": "0123456789abcdef"}' in with_nonce(BROADCAST, "0123456789abcdef")
    for bad in ("0", "0123456789abcdeg", "'; drop table rtm_log; --", "0123456789abcdef\n"):
        with pytest.raises(ValueError, match="16 hexadecimal digits"):
            with_nonce(BROADCAST, bad)
