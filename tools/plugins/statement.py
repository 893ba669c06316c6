"""An import file as its statements: calls with the values of their arguments, and assignments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tools.plsql.finding import Finding, SourceError
from tools.plsql.lexer import END, NUMBER, STRING, Token, string_value, tokenize
from tools.plsql.script import PLSQL, Piece, read_script

TEXT, NUMERIC, BOOLEAN, ID, BLOB, OTHER = "text", "number", "boolean", "id", "blob", "other"

MAX_ELEMENT_BYTES = 4000
"""An element of WWV_FLOW_T_VARCHAR2."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value; ``text`` for strings (and the source of what is not understood), ``number`` for numbers and ids."""

    kind: str
    text: str = ""
    number: int = 0
    longest_element_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Argument:
    """A named argument; ``name`` is empty for a positional one."""

    name: str
    value: Value
    line: int


@dataclass(frozen=True, slots=True)
class Statement:
    """``target(arguments);`` or ``target(index) := value;``. An assignment has its value as the one argument."""

    target: str
    line: int
    arguments: tuple[Argument, ...] = ()
    is_assignment: bool = False
    index: int | None = None

    def value(self, name: str) -> Value | None:
        """The value of an argument."""
        return next((argument.value for argument in self.arguments if argument.name == name), None)


@dataclass(slots=True)
class Source:
    """An import file: its lines, its pieces, its statements, and what could not be read."""

    path: str
    lines: list[str]
    pieces: list[Piece]
    statements: list[Statement]
    findings: list[Finding]


def read_source(path: Path) -> Source:
    """Read an import file; what is wrong with its shape is in ``findings``."""
    script = read_script(path, path.parent)
    # As bytes: read_text would turn a carriage return into a line feed before the rule for it sees the line.
    lines = path.read_bytes().decode("utf-8").split("\n")
    source = Source(path.name, lines, script.pieces, [], list(script.findings))
    for piece in script.pieces:
        if piece.kind != PLSQL:
            continue
        try:
            source.statements.extend(_statements(tokenize(piece.text, piece.line)))
        except SourceError as error:
            source.findings.append(Finding(source.path, error.line, "syntax", error.message))
    return source


def _statements(tokens: list[Token]) -> list[Statement]:
    if not tokens[0].word("begin"):
        raise SourceError(tokens[0].line, "expected an anonymous block")
    found: list[Statement] = []
    at = 1
    while not tokens[at].word("end"):
        end = _semicolon(tokens, at)
        found.append(_statement(tokens[at:end]))
        at = end + 1
    if not tokens[at + 1].op(";") or tokens[at + 2].kind != END:
        raise SourceError(tokens[at].line, "expected 'end;' and nothing after it")
    return found


def _semicolon(tokens: list[Token], at: int) -> int:
    depth = 0
    for place in range(at, len(tokens)):
        token = tokens[place]
        depth += 1 if token.op("(") else -1 if token.op(")") else 0
        if depth < 0:
            raise SourceError(token.line, "a ) that nothing opened")
        if depth == 0 and token.op(";"):
            return place
    raise SourceError(tokens[at].line, "the statement has no ;")


def _statement(tokens: list[Token]) -> Statement:
    line = tokens[0].line
    sign = next((place for place, token in enumerate(tokens) if token.op(":=")), None)
    if sign is not None:
        target, index = _target(tokens[:sign])
        value = value_of(tokens[sign + 1 :])
        return Statement(target, line, (Argument("", value, line),), is_assignment=True, index=index)
    target, rest = _dotted(tokens)
    if not rest:
        return Statement(target, line)
    return Statement(target, line, tuple(_argument(part) for part in _split(_inside(rest))))


def _target(tokens: list[Token]) -> tuple[str, int | None]:
    target, rest = _dotted(tokens)
    if not rest:
        return target, None
    inner = _inside(rest)
    if len(inner) != 1 or inner[0].kind != NUMBER:
        raise SourceError(rest[0].line, "expected one number as index")
    return target, int(inner[0].text)


def _dotted(tokens: list[Token]) -> tuple[str, list[Token]]:
    end = next((place for place, token in enumerate(tokens) if token.op("(")), len(tokens))
    return "".join(token.low for token in tokens[:end]), tokens[end:]


def _inside(tokens: list[Token]) -> list[Token]:
    """What stands between the first ``(`` and the ``)`` that must be the last token."""
    depth = 0
    for place, token in enumerate(tokens):
        depth += 1 if token.op("(") else -1 if token.op(")") else 0
        if depth == 0:
            if place != len(tokens) - 1:
                raise SourceError(token.line, f"'{tokens[place + 1].text}' is not expected here")
            return tokens[1:place]
    raise SourceError(tokens[0].line, "a ( is never closed")


def _split(tokens: list[Token]) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += 1 if token.op("(") else -1 if token.op(")") else 0
        if depth == 0 and token.op(","):
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def _argument(tokens: list[Token]) -> Argument:
    if len(tokens) > 2 and tokens[1].op("=>"):
        return Argument(tokens[0].low, value_of(tokens[2:]), tokens[0].line)
    return Argument("", value_of(tokens), tokens[0].line)


def value_of(tokens: list[Token]) -> Value:
    """What an expression of an import file is worth."""
    shown = " ".join(token.text for token in tokens)
    if len(tokens) == 1 and tokens[0].kind == NUMBER and tokens[0].text.isdigit():
        return Value(NUMERIC, number=int(tokens[0].text))
    if len(tokens) == 1 and tokens[0].word("true", "false"):
        return Value(BOOLEAN, tokens[0].low, number=int(tokens[0].low == "true"))
    function, rest = _dotted(tokens)
    if function == "wwv_flow_imp.id" and len(rest) == 3 and rest[1].kind == NUMBER:
        return Value(ID, number=int(rest[1].text))
    if function == "wwv_flow_imp.varchar2_to_blob":
        return Value(BLOB, shown)
    if function == "wwv_flow_string.join":
        return _joined(_inside(rest))
    text = _text(tokens)
    return Value(OTHER, shown) if text is None else Value(TEXT, text)


def _joined(tokens: list[Token]) -> Value:
    function, rest = _dotted(tokens)
    if function != "wwv_flow_t_varchar2":
        raise SourceError(tokens[0].line, "expected wwv_flow_t_varchar2")
    lines = [_text(part) for part in _split(_inside(rest))]
    if None in lines:
        raise SourceError(tokens[0].line, "an element is not a string")
    known = [line for line in lines if line is not None]
    return Value(TEXT, "\n".join(known), longest_element_bytes=max(len(line.encode()) for line in known))


def _text(tokens: list[Token]) -> str | None:
    """The value of strings and UNISTR calls joined by ``||``, or None."""
    text = ""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.op("||"):
            parts.append([])
        else:
            parts[-1].append(token)
    for part in parts:
        if len(part) == 1 and part[0].kind == STRING:
            text += string_value(part[0])
        elif len(part) == 4 and part[0].word("unistr") and part[2].kind == STRING:
            text += unistr(string_value(part[2]))
        else:
            return None
    return text


def unistr(text: str) -> str:
    r"""What UNISTR makes of ``text``: ``\XXXX`` is a UTF-16 code unit, ``\\`` a backslash."""
    units = re.sub(r"\\\\|\\([0-9A-Fa-f]{4})", lambda found: chr(int(found[1], 16)) if found[1] else "\\", text)
    return units.encode("utf-16", "surrogatepass").decode("utf-16")
