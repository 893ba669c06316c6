"""Values as PL/SQL, the way APEX exports write them: pure ASCII, short lines, quotes doubled."""

from __future__ import annotations

MAX_PIECE = 180
"""Characters of a string on one line; the rest follows on the next with ``||``."""

HEX_LINE = 200
"""Hexadecimal characters of an embedded file on one line: 100 bytes."""


def text_literal(text: str) -> str:
    """A VARCHAR2 expression for ``text``; several lines are joined by line feeds, as in real exports."""
    lines = text.split("\n")
    if len(lines) == 1:
        return line_literal(text)
    return "wwv_flow_string.join(wwv_flow_t_varchar2(\n" + ",\n".join(line_literal(line) for line in lines) + "))"


def line_literal(line: str) -> str:
    """A string without line feeds, cut into pieces that SQL*Plus can read."""
    if "\n" in line or "\r" in line:
        raise ValueError("a line ends inside a line")
    pieces = [line[at : at + MAX_PIECE] for at in range(0, len(line), MAX_PIECE)] or [""]
    return "\n||".join(_quoted(piece) for piece in pieces)


def _quoted(piece: str) -> str:
    doubled = piece.replace("'", "''")
    if piece.isascii():
        return f"'{doubled}'"
    escaped = doubled.replace("\\", "\\\\")
    units = "".join(char if char.isascii() else _units(char) for char in escaped)
    return f"unistr('{units}')"


def _units(char: str) -> str:
    code = char.encode("utf-16-be").hex().upper()
    return "".join(f"\\{code[at : at + 4]}" for at in range(0, len(code), 4))


def id_literal(number: int) -> str:
    """An id that the importer may move by its offset."""
    return f"wwv_flow_imp.id({number})"


def value_literal(value: object) -> str:
    """A literal by the type of ``value``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else text_literal(str(value))


def hex_lines(content: bytes) -> list[str]:
    """``content`` as hexadecimal lines, all full but the last."""
    text = content.hex().upper()
    return [text[at : at + HEX_LINE] for at in range(0, len(text), HEX_LINE)]
