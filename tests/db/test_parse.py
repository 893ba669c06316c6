"""The reader of PL/SQL takes what Oracle takes and refuses what Oracle refuses, with the line."""

from __future__ import annotations

import pytest
from tools.plsql.finding import SourceError
from tools.plsql.lexer import STRING, string_value, tokenize
from tools.plsql.parse_unit import blocks_of, call_specification, parse_text
from tools.plsql.tree import Assign, Binary, Call, If, JsonObject, Literal, Loop, Predicate, Reference, Subprogram, walk


def body(statements: str) -> str:
    return f"declare\n  a number;\nbegin\n{statements}\nend;"


ACCEPTED = [
    "a := -1 + 2 * 3 ** 2 || 'x';",
    "a := case when b is not null then 1 else 2 end;",
    "a := case b when 1 then 'x' end;",
    "if a between 1 and 2 and b not in (1, 2) and c not like 'x%' escape '\\' then null; end if;",
    "case a when 1 then b; else null; end case;",
    "for i in reverse 1 .. 10 loop continue when i = 3; exit; end loop;",
    "<<outer>> for i in 1 .. 2 loop exit outer when true; end loop outer;",
    "for r in (select 1 as x from dual) loop null; end loop;",
    "for r in cur(p_a => 1) loop null; end loop;",
    "while a < 10 loop a := a + 1; end loop;",
    "begin a; exception when no_data_found or too_many_rows then raise; when others then b; raise; end;",
    "execute immediate 'begin :a := f(:b); end;' using out a, in b;",
    "open c for select 1 from dual; fetch c bulk collect into l limit 10; close c;",
    "forall i in 1 .. l.count save exceptions insert into t values (l(i));",
    "update t set a = 1 where b = c returning a into d;",
    "a := json_object('k' value 1, 'l' : b format json null on null returning clob);",
    "a := json_value(b, '$.x' returning number default 0 on error);",
    "a := treat(b as json_object_t).get_string('x');",
    "a := cast(b as timestamp with time zone) at time zone 'UTC';",
    "a := extract(second from b) + to_number(date '2026-01-01' - sysdate) + interval '1' day;",
    "a := b(1).c(2).d; l(1).x := 2; l.delete; p.q(r => l(1).x);",
    "if a is json strict with unique keys then null; end if;",
    "a := sql%rowcount; raise e_x; return; null; commit; rollback to before_it; savepoint before_it;",
    "a := q'[it's]' || n'x' || nq'{y}';",
    "a := new t(1); a := (b); if (a, b) in ((1, 2)) then null; end if;",
    "a := (select max(x) from t where y in (select z from u));",
    "if exists (select 1 from t) then null; end if;",
]

REFUSED = [
    ("a := ;", 4),
    ("a = 1;", 4),
    ("a 1;", 4),
    ("if a then end if;", 4),
    ("if a then b; end;", 4),
    ("b(1, );", 4),
    ("b(c => );", 4),
    ("b(1;", 4),
    ("b(c => 1 d => 2);", 4),
    ("for i in 1 10 loop null; end loop;", 4),
    ("null;\nend loop;", 5),
    ("begin null; exception null; end;", 4),
    ("begin null; exception when others then null; when no_data_found then null; end;", 4),
    ("a := case when b then end;", 4),
    ("a := b not 1;", 4),
    ("execute 'x';", 4),
    ("execute immediate 'x' usin a;", 4),
    ("fetch c l;", 4),
    ("null;\n\n  a := b.;", 6),
    ("goto x;", 4),
    ("forall i in 1 .. 2 commit;", 4),
    ("a := json_object('k' 1);", 4),
    ("a := b is maybe;", 4),
    ("return 1 2;", 4),
    ("a := table;", 4),
]


@pytest.mark.parametrize("statements", ACCEPTED)
def test_statement_is_read(statements: str) -> None:
    assert parse_text(body(statements)).kind == "block"


@pytest.mark.parametrize(("statements", "line"), REFUSED)
def test_broken_statement_is_refused_at_its_line(statements: str, line: int) -> None:
    with pytest.raises(SourceError) as refusal:
        parse_text(body(statements))

    assert refusal.value.line == line


@pytest.mark.parametrize(
    "declaration",
    [
        "x number x;",
        "x constant;",
        "x varchar2(;",
        "type t is table number;",
        "type t is record (a);",
        "subtype t number;",
        "cursor c is update;",
        "procedure p(a in) is begin null; end;",
        "procedure p() is begin null; end;",
        "procedure p is null; end;",
        "function f is begin return 1; end;",
        "function f return number deterministics;",
        "pragma ;",
        "x exception",
    ],
)
def test_broken_declaration_is_refused(declaration: str) -> None:
    with pytest.raises(SourceError):
        parse_text(f"create package body b as {declaration} end b;")


def test_precedence_is_that_of_the_language() -> None:
    (assign,) = [
        node for node in walk(parse_text(body("x := a or b and not c = d || e + 1;"))) if isinstance(node, Assign)
    ]

    assert isinstance(assign.value, Binary)
    assert assign.value.operator == "or"
    right = assign.value.right
    assert isinstance(right, Binary)
    assert right.operator == "and"
    assert isinstance(right.left, Reference)


def test_declarations_of_a_package_are_read() -> None:
    unit = parse_text(
        "create or replace editionable package x.p authid definer accessible by (package q) as\n"
        "  subtype t_a is pls_integer range 1 .. 9 not null;\n"
        "  type t_r is record (a number not null := 1, b t.c%type);\n"
        "  type t_m is table of t_r index by varchar2(30);\n"
        "  type t_c is ref cursor;\n"
        "  type t_v is varray(3) of number;\n"
        "  c_a constant t_a := 1;\n"
        "  e_x exception;\n"
        "  pragma exception_init(e_x, -20700);\n"
        "  cursor cur_a(p_a in number default 1) is select 1 from dual;\n"
        "  procedure a(p_a in out nocopy varchar2, p_b in number default nvl(1, 2));\n"
        "  function b return interval day to second deterministic;\n"
        "end p;"
    )

    assert (unit.kind, unit.name, unit.end_name) == ("package", "p", "p")
    names = [getattr(item, "name", None) for item in unit.declarations]
    assert names == ["t_a", "t_r", "t_m", "t_c", "t_v", "c_a", "e_x", "exception_init", "cur_a", "a", "b"]
    procedure = unit.declarations[9]
    assert isinstance(procedure, Subprogram)
    assert [(item.mode, item.nocopy, item.type, item.default) for item in procedure.parameters] == [
        ("in out", True, "varchar2", None),
        ("in", False, "number", "nvl(1, 2)"),
    ]
    function = unit.declarations[10]
    assert isinstance(function, Subprogram)
    assert (function.returns, function.options) == ("interval day to second", "deterministic")


def test_same_type_reads_the_same_however_it_is_written() -> None:
    one, other = (
        parse_text(f"create function f(p in {text}) return number is begin return 1; end f;")
        for text in ("VARCHAR2 ( 10   char )", "varchar2(10 char)")
    )

    assert [type(unit.declarations[0]) for unit in (one, other)] == [Subprogram, Subprogram]
    types = [node.type for unit in (one, other) for node in walk(unit) if hasattr(node, "nocopy")]
    assert types == ["varchar2(10 char)"] * 2


def test_unit_that_goes_on_after_its_end_is_refused() -> None:
    with pytest.raises(SourceError, match="a missing / or one 'end' too many"):
        parse_text("begin null; end;\nbegin null; end;")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x := 'abc", "never closed"),
        ("/* x", "never ends"),
        ("x := q'[a]", "never ends"),
        ('x := "a', "never closed"),
        ("x := `", "has no meaning"),
    ],
)
def test_token_that_never_ends_is_refused(text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        tokenize(text)


def test_strings_are_decoded_and_lines_counted_over_them() -> None:
    tokens = tokenize("'it''s' q'!a'b!' n'x' 'two\nlines' -- 'not this'\n/* 'nor\nthis' */ last")

    assert [string_value(token) for token in tokens if token.kind == STRING] == ["it's", "a'b", "x", "two\nlines"]
    assert tokens[-2].low == "last"
    assert tokens[-2].line == 4


def test_range_is_not_read_as_a_decimal_number() -> None:
    assert [token.text for token in tokenize("1..10 1.5 .5 1e3")][:-1] == ["1", "..", "10", "1.5", ".5", "1e3"]


def test_walk_finds_every_node_in_source_order() -> None:
    unit = parse_text(
        body("if a is null then b(c => json_object('k' value d)); end if; for i in 1 .. 2 loop e; end loop;")
    )

    kinds = [type(node) for node in walk(unit) if isinstance(node, If | Predicate | Call | JsonObject | Literal | Loop)]
    assert kinds == [If, Predicate, Call, JsonObject, Literal, Loop, Literal, Literal, Call]


def test_blocks_are_found_with_their_subprograms() -> None:
    unit = parse_text(
        "create package body p as procedure a is procedure b is begin null; end b; begin b; end a; begin a; end p;"
    )

    assert [subprogram.name if subprogram else None for subprogram, _ in blocks_of(unit)] == [None, "a", "b"]


def test_call_specification_is_taken_apart() -> None:
    assert call_specification("mle module m env e signature 'f(string)'") == ("m", "e", "f(string)")
    assert call_specification("mle module m signature 'f'") == ("m", None, "f")
    assert call_specification("language java name 'x'") is None
    with pytest.raises(SourceError):
        call_specification("mle module m signature")
