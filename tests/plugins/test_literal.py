"""Values go to PL/SQL and come back the same, in ASCII and short lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.plsql.lexer import tokenize
from tools.plugins.literal import HEX_LINE, hex_lines, id_literal, line_literal, text_literal, value_literal
from tools.plugins.statement import BOOLEAN, ID, NUMERIC, TEXT, Value, unistr, value_of

LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=600)


def read(literal: str) -> Value:
    return value_of(tokenize(literal)[:-1])


@given(st.lists(LINES, min_size=1, max_size=5).map("\n".join))
def test_any_text_comes_back(text: str) -> None:
    literal = text_literal(text)

    assert read(literal).text == text
    assert literal.isascii()
    assert max(len(line) for line in literal.split("\n")) < 1000


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("", "''"),
        ("it's", "'it''s'"),
        ("a\nb", "wwv_flow_string.join(wwv_flow_t_varchar2(\n'a',\n'b'))"),
        ("x \u2013 y", r"unistr('x \2013 y')"),
        ("c:\\d \u2013 '", r"unistr('c:\\d \2013 ''')"),
        ("🙂", r"unistr('\D83D\DE42')"),
        ("a\\b", r"'a\b'"),
    ],
)
def test_texts_are_written_as_exports_write_them(text: str, literal: str) -> None:
    assert text_literal(text) == literal


def test_a_long_line_is_cut() -> None:
    assert line_literal("x" * 181) == f"'{'x' * 180}'\n||'x'"


@pytest.mark.parametrize("text", ["a\nb", "a\rb"])
def test_a_line_in_a_line_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a line ends inside a line"):
        line_literal(text)


def test_numbers_booleans_and_ids_have_their_own_kinds() -> None:
    assert (read(value_literal(7)).kind, read(value_literal(7)).number) == (NUMERIC, 7)
    assert (read(value_literal(True)).kind, read(value_literal(True)).text) == (BOOLEAN, "true")
    assert read(value_literal(False)).number == 0
    assert (read(id_literal(42)).kind, read(id_literal(42)).number) == (ID, 42)
    assert read(value_literal("7")).kind == TEXT


def test_unistr_knows_an_escaped_backslash_from_an_escape() -> None:
    assert unistr(r"\\2013") == r"\2013"
    assert unistr(r"\2013") == "\u2013"


@given(st.binary(max_size=1000))
def test_any_bytes_come_back_from_full_lines(content: bytes) -> None:
    lines = hex_lines(content)

    assert bytes.fromhex("".join(lines)) == content
    assert all(len(line) == HEX_LINE for line in lines[:-1])
    assert all(line == line.upper() and line for line in lines)
