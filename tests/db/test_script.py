"""The splitter cuts scripts where SQL*Plus does, and says where SQL*Plus would surprise."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.plsql.script import COMMAND, MLE, PLSQL, SQL, Script, read_script


def split(folder: Path, text: str, **others: str) -> Script:
    """Split ``text``; ``others`` are further scripts, by name without ``.sql``."""
    for name, content in others.items():
        (folder / f"{name}.sql").write_text(content)
    path = folder / "main.sql"
    path.write_text(text)
    return read_script(path, folder)


def shape(script: Script) -> list[tuple[str, int, str]]:
    return [(piece.kind, piece.line, piece.text) for piece in script.pieces]


def rules(script: Script) -> list[tuple[str, int]]:
    return [(finding.rule, finding.line) for finding in script.findings]


def test_commands_statements_and_units_are_told_apart_with_their_lines(tmp_path: Path) -> None:
    script = split(
        tmp_path,
        "prompt a; b\n"
        "-- comment\n"
        "create table t (\n  a varchar2(1 char) default ';' -- not the end;\n);\n"
        "/* more\n   of it */\n"
        "begin\n  null;\nend;\n/\n"
        "create or replace mle module m language javascript as\nconst a = 1;\n\nexport const b = a;\n/\n"
        "commit;\n",
    )

    assert script.findings == []
    assert shape(script) == [
        (COMMAND, 1, "prompt a; b"),
        (SQL, 3, "create table t (\n  a varchar2(1 char) default ';' -- not the end;\n);"),
        (PLSQL, 8, "begin\n  null;\nend;"),
        (MLE, 12, "create or replace mle module m language javascript as\nconst a = 1;\n\nexport const b = a;"),
        (SQL, 17, "commit;"),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("begin\n  null;\nend;\n", ("slash", 1)),
        ("create or replace package p as\nend p;\ncreate or replace package q as\nend q;\n/\n", ("slash", 1)),
        ("begin\n  null;\nend;\nshow errors\n", ("slash", 1)),
        ("commit;\n/\n", ("slash", 2)),
        ("select 1\n\n  from dual;\n", ("blank-line", 2)),
        ("select 1 from dual; -- one\ncommit;\n", ("terminator", 1)),
        ("select 1 from dual\n", ("terminator", 1)),
        ("comment on table t is 'it''s;\n", ("terminator", 1)),
        ("hello\n", ("unknown", 1)),
        ("/* never\n", ("comment", 1)),
        ("insert into t values ('a&b');\n", ("ampersand", 1)),
        ("begin\n  x('&name');\nend;\n/\n", ("ampersand", 2)),
        ("@@missing.sql\n", ("include", 1)),
        ("@@main.sql\n", ("include", 1)),
        (f"select '{'x' * 2500}' from dual;\n", ("long-line", 1)),
        (f"begin\n  x := '{'x' * 2500}';\nend;\n/\n", ("long-line", 2)),
    ],
)
def test_what_sqlplus_would_do_otherwise_is_found(tmp_path: Path, text: str, found: tuple[str, int]) -> None:
    assert found in rules(split(tmp_path, text))


def test_comment_with_an_apostrophe_does_not_open_a_string(tmp_path: Path) -> None:
    script = split(tmp_path, "select 1 -- it's\n  from dual;\ncommit;\n")

    assert [piece.line for piece in script.pieces] == [1, 3]
    assert script.findings == []


def test_includes_are_followed_where_they_stand(tmp_path: Path) -> None:
    script = split(tmp_path, "prompt 1\n@@other\nprompt 3\n", other="prompt 2\n")

    assert [(piece.path, piece.text) for piece in script.pieces] == [
        ("main.sql", "prompt 1"),
        ("main.sql", "@@other"),
        ("other.sql", "prompt 2"),
        ("main.sql", "prompt 3"),
    ]
    assert [path.name for path in script.files] == ["main.sql", "other.sql"]


def test_include_chosen_by_a_variable_counts_with_each_of_its_values(tmp_path: Path) -> None:
    text = "define with_mle = 'one.sql'\ndefine with_mle = 'two.sql'\n@@&with_mle\n"

    script = split(tmp_path, text, one="prompt 1\n", two="prompt 2\n")

    assert [piece.text for piece in script.pieces if piece.path != "main.sql"] == ["prompt 1", "prompt 2"]
    assert script.findings == []


def test_ampersand_is_free_where_define_is_off(tmp_path: Path) -> None:
    script = split(tmp_path, "set define off\ninsert into t values ('a&b');\nset define on\ncommit;\n")

    assert script.findings == []
    assert [piece.defines for piece in script.pieces] == [True, False, False, True]


def test_command_goes_on_after_a_hyphen(tmp_path: Path) -> None:
    script = split(tmp_path, "prompt one -\ntwo\ncommit;\n")

    assert [(piece.line, piece.text) for piece in script.pieces] == [(1, "prompt one two"), (3, "commit;")]
