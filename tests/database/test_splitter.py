"""Where one statement ends and the next begins; and the same cuts as the splitter that checks db/."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.plsql import script as strict

from apex_rtm.database.scripts import scripts_dir
from apex_rtm.database.splitter import Kind, Piece, ScriptFault, split

FILES = sorted(path for path in scripts_dir().rglob("*") if path.suffix in (".sql", ".pks", ".pkb"))
KINDS = {strict.SQL: Kind.SQL, strict.PLSQL: Kind.PLSQL, strict.MLE: Kind.PLSQL, strict.COMMAND: Kind.COMMAND}


def test_each_kind_of_piece() -> None:
    text = """-- a comment
prompt Hello
set define off

create table t (
  a varchar2(10) default 'x;y'
);
insert into t values ('it''s -- no comment;
still text');
select a -- it's a comment; and more
  from t;
begin
  null;
end;
/
create or replace package p as
  c constant varchar2(3) := ';/;';
end;
/
@@next.sql
commit;
"""
    assert list(split(text)) == [
        Piece(Kind.COMMAND, "prompt Hello", 2),
        Piece(Kind.COMMAND, "set define off", 3),
        Piece(Kind.SQL, "create table t (\n  a varchar2(10) default 'x;y'\n)", 5),
        Piece(Kind.SQL, "insert into t values ('it''s -- no comment;\nstill text')", 8),
        Piece(Kind.SQL, "select a -- it's a comment; and more\n  from t", 10),
        Piece(Kind.PLSQL, "begin\n  null;\nend;", 12),
        Piece(Kind.PLSQL, "create or replace package p as\n  c constant varchar2(3) := ';/;';\nend;", 16),
        Piece(Kind.COMMAND, "@@next.sql", 20),
        Piece(Kind.SQL, "commit", 21),
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("begin\n  null;\nend;\n", "line 1: there is no /"),
        ("\nselect 1\n  from dual\n", "line 2: the statement has no ;"),
        ("commit;\nthis is no SQL;\n", "line 2: neither SQL nor a known command: this is no SQL;"),
    ],
)
def test_what_cannot_be_cut_is_refused_with_its_line(text: str, fault: str) -> None:
    with pytest.raises(ScriptFault, match=fault):
        list(split(text))


def test_there_is_something_to_compare() -> None:
    assert len(FILES) > 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(scripts_dir()).as_posix())
def test_both_splitters_cut_every_script_alike(path: Path) -> None:
    reader = strict._Splitter(path.read_text(encoding="utf-8"), path.name, [])
    expected = [
        (KINDS[piece.kind], " ".join(piece.text.split()).removesuffix(";").rstrip(), piece.line)
        for piece in reader.pieces()
    ]

    found = [
        (piece.kind, " ".join(piece.text.split()).removesuffix(";").rstrip(), piece.line)
        for piece in split(path.read_text(encoding="utf-8"))
    ]
    assert found == expected
