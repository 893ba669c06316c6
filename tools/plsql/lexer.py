"""Tokens of Oracle SQL and PL/SQL (PL/SQL Language Reference, "Lexical Units")."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tools.plsql.finding import SourceError

WORD, QUOTED, NUMBER, STRING, OP, BIND, END = "word", "quoted", "number", "string", "op", "bind", "end"

_SPACE = re.compile(r"[ \t\r\n\f]+")
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r"[nN]?'(?:[^']|'')*'")
_Q_STRING = re.compile(r"[nN]?[qQ]'(.)", re.DOTALL)
_QUOTED = re.compile(r'"[^"\n]+"')
_WORD = re.compile(r"\$\$[A-Za-z_]\w*|\$(?:if|then|elsif|else|end|error)\b|[A-Za-z][\w$#]*")
_NUMBER = re.compile(r"(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d+)?[fFdD]?")
_BIND = re.compile(r":[A-Za-z]\w*(?:\.[A-Za-z]\w*)?|:\d+|&{1,2}\w+\.?")
_OP = re.compile(r":=|=>|\|\||<=|>=|<>|!=|\^=|~=|\.\.|\*\*|<<|>>|[()+\-*/,;.@%<>=:\[\]{}|?]")
_CLOSERS = {"[": "]", "(": ")", "{": "}", "<": ">"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token: ``text`` as written, ``low`` as compared (PL/SQL names ignore case), place in the source."""

    kind: str
    text: str
    low: str
    line: int
    start: int

    def word(self, *names: str) -> bool:
        """Tell whether this is one of these unquoted words."""
        return self.kind == WORD and self.low in names

    def op(self, *texts: str) -> bool:
        """Tell whether this is one of these operators or punctuation marks."""
        return self.kind == OP and self.text in texts

    @property
    def end(self) -> int:
        """The offset after the last character."""
        return self.start + len(self.text)


def tokenize(text: str, first_line: int = 1) -> list[Token]:
    """Cut ``text`` into tokens, comments left out, with one ``END`` token at the end.

    Raises:
        SourceError: something that never ends, or a character Oracle has no use for.
    """
    tokens: list[Token] = []
    at, line = 0, first_line
    while at < len(text):
        skipped = _SPACE.match(text, at) or _COMMENT.match(text, at)
        if skipped:
            line += skipped.group().count("\n")
            at = skipped.end()
            continue
        token = _token_at(text, at, line)
        tokens.append(token)
        line += token.text.count("\n")
        at = token.end
    tokens.append(Token(END, "", "", line, at))
    return tokens


def _token_at(text: str, at: int, line: int) -> Token:
    quoting = _Q_STRING.match(text, at)
    if quoting:
        closer = _CLOSERS.get(quoting.group(1), quoting.group(1)) + "'"
        end = text.find(closer, quoting.end())
        if end < 0:
            raise SourceError(line, "a q'...' string never ends")
        return _make(STRING, text[at : end + 2], line, at)
    if text.startswith("/*", at):
        raise SourceError(line, "a comment /* never ends")
    for kind, pattern in _PATTERNS:
        found = pattern.match(text, at)
        if found:
            return _make(kind, found.group(), line, at)
    if text[at] in "'\"":
        raise SourceError(line, f"a {text[at]} is never closed")
    raise SourceError(line, f"the character {text[at]!r} has no meaning here")


_PATTERNS = (
    (STRING, _STRING),
    (QUOTED, _QUOTED),
    (WORD, _WORD),
    (NUMBER, _NUMBER),
    (BIND, _BIND),
    (OP, _OP),
)


def _make(kind: str, text: str, line: int, start: int) -> Token:
    low = text.lower() if kind == WORD else text.strip('"').lower() if kind == QUOTED else text
    return Token(kind, text, low, line, start)


def string_value(token: Token) -> str:
    """The value of a string token: quotes and doubling undone."""
    text = token.text.lstrip("nN")
    if text[0] in "qQ":
        return text[3:-2]
    return text[1:-1].replace("''", "'")
