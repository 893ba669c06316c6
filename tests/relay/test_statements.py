"""The relay's SQL, held to the tables of db/ and to Oracle's published grammar."""

from __future__ import annotations

import re

import pytest
from tools.plsql.grammar import GateMissingError, complaints

from apex_rtm.database import check, session
from apex_rtm.database.scripts import scripts_dir
from apex_rtm.relay import statements
from apex_rtm.relay.pace import LONGEST_WAIT_S

TEXTS = {
    f"{module.__name__}.{name}": value.strip()
    for module in (statements, check, session)
    for name, value in vars(module).items()
    if isinstance(value, str) and value.strip().startswith(("select", "update"))
}
WORDS = {
    "select", "from", "where", "and", "or", "not", "exists", "null", "case", "when", "then", "else", "end", "as",
    "order", "by", "for", "update", "skip", "locked", "set", "interval", "second", "count", "length", "dual", "status",
    "value", "name", "id", "current_timestamp", "sys_extract_utc", "numtodsinterval",
}  # fmt: skip


def columns_of(table: str) -> set[str]:
    """The columns of a table in db/08_rtm_outbox.sql."""
    text = (scripts_dir() / "08_rtm_outbox.sql").read_text(encoding="utf-8")
    found = re.search(rf"create table {table} \((.*?)\n    \)\]'", text, re.DOTALL)
    assert found is not None
    return {line.split()[0] for line in found.group(1).splitlines() if line.strip() and "constraint" not in line}


def test_every_statement_is_found() -> None:
    assert len(TEXTS) == 14


@pytest.mark.parametrize("name", [name for name in TEXTS if name.startswith("apex_rtm.relay")])
def test_every_name_is_a_column_of_its_table(name: str) -> None:
    text = re.sub(r"'[^']*'|:\w+", " ", TEXTS[name])
    (table,) = set(re.findall(r"\brtm_\w+", text)) - {"rtm_settings"} or {"rtm_settings"}
    known = {"name", "value"} if table == "rtm_settings" else columns_of(table)

    assert set(re.findall(r"[a-z_]+", text)) - WORDS - {table, "rtm_outbox_drain"} <= known


def test_both_questions_for_what_is_due_are_the_same() -> None:
    def due(text: str) -> list[str]:
        return text[text.index("status = 'PENDING'") : text.index("second)") + 7].split()

    assert due(statements.HAS_DUE) == due(statements.FETCH_DUE)


def test_the_longest_wait_of_the_statements_is_that_of_the_code() -> None:
    assert f"interval '{LONGEST_WAIT_S:.0f}' second" in statements.FETCH_DUE


@pytest.mark.slow
def test_the_published_grammar_has_nothing_against_them() -> None:
    try:
        broken, *found = complaints(["select failures from where id = 1;", *(f"{text};" for text in TEXTS.values())])
    except GateMissingError as missing:
        pytest.skip(f"not run: {missing}")
    assert broken, "the gate sees nothing"
    assert dict(zip(TEXTS, found, strict=True)) == {name: [] for name in TEXTS}
