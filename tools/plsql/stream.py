"""A cursor over tokens, shared by the parsers."""

from __future__ import annotations

from tools.plsql.finding import SourceError
from tools.plsql.lexer import END, NUMBER, OP, QUOTED, STRING, WORD, Token

_RESERVED_TEXT = """
all alter and any as asc begin between by case check cluster connect create declare
default desc distinct drop else elsif end exception exclusive exit fetch for from function
goto grant group having if in index insert intersect into is like lock loop minus
nocompress not nowait null of on option or order overlaps pragma procedure public raise
resource return revoke select share size start subtype table then to type union unique
update values view views when where while with
"""
RESERVED = frozenset(_RESERVED_TEXT.split())
"""Words that name nothing: PL/SQL Language Reference, "Reserved Words and Keywords", and the statement words."""


class Stream:
    """Tokens with a place. Parsers ask ``at``, take with ``accept`` and insist with ``expect``."""

    def __init__(self, tokens: list[Token]) -> None:
        last = tokens[-1] if tokens else Token(END, "", "", 1, 0)
        # Tokens cut out of a statement have no end of their own.
        self.tokens = tokens if last.kind == END else [*tokens, Token(END, "", "", last.line, last.end)]
        self.tokens = self.tokens or [last]
        self.place = 0

    @property
    def here(self) -> Token:
        """The token to be read next."""
        return self.tokens[self.place]

    def ahead(self, steps: int = 1) -> Token:
        """The token ``steps`` after the next one, or the last one."""
        return self.tokens[min(self.place + steps, len(self.tokens) - 1)]

    def next(self) -> Token:
        """Take the next token."""
        token = self.here
        if token.kind != END:
            self.place += 1
        return token

    def at(self, *texts: str) -> bool:
        """Tell whether the next tokens are these words or operators, in this order."""
        return all(self._is(self.ahead(step), text) for step, text in enumerate(texts))

    def at_any(self, *texts: str) -> bool:
        """Tell whether the next token is one of these words or operators."""
        return any(self._is(self.here, text) for text in texts)

    @staticmethod
    def _is(token: Token, text: str) -> bool:
        return token.low == text and token.kind in (WORD, OP)

    def accept(self, *texts: str) -> bool:
        """Take these tokens if they come next, all or none."""
        if self.at(*texts):
            self.place += len(texts)
            return True
        return False

    def expect(self, *texts: str) -> None:
        """Take these tokens.

        Raises:
            SourceError: something else comes next.
        """
        for text in texts:
            if not self.accept(text):
                raise self.fault(f"expected '{text}'")

    def fault(self, message: str) -> SourceError:
        """The error that refuses the source at the next token."""
        shown = "the end" if self.here.kind == END else f"'{self.here.text}'"
        return SourceError(self.here.line, f"{message}, found {shown}")

    def name(self, what: str = "a name") -> str:
        """Take a name, lower case; quoted names keep their letters but not their quotes."""
        if self.here.kind == QUOTED or (self.here.kind == WORD and self.here.low not in RESERVED):
            return self.next().low
        raise self.fault(f"expected {what}")

    def string(self) -> Token:
        """Take a string."""
        if self.here.kind != STRING:
            raise self.fault("expected a string")
        return self.next()

    def parenthesized(self) -> list[Token]:
        """Take ``( … )`` and return what stands between, parentheses inside included."""
        self.expect("(")
        taken: list[Token] = []
        depth = 1
        while True:
            token = self.next()
            if token.kind == END:
                raise self.fault("a ( is never closed")
            depth += 1 if token.op("(") else -1 if token.op(")") else 0
            if depth == 0:
                return taken
            taken.append(token)

    def until(self, *texts: str) -> list[Token]:
        """Take tokens up to, but not including, one of ``texts`` outside parentheses."""
        taken: list[Token] = []
        depth = 0
        while depth or not self.at_any(*texts):
            token = self.here
            if token.kind == END:
                raise self.fault(f"expected '{texts[0]}'")
            depth += 1 if token.op("(") else -1 if token.op(")") else 0
            if depth < 0:
                raise self.fault("a ) that nothing opened")
            taken.append(self.next())
        return taken


_TIGHT = frozenset("().,%")


def text_of(tokens: list[Token]) -> str:
    """Tokens as lower-case text with one spelling, so that the same declaration always reads the same."""
    text = ""
    for token in tokens:
        word = token.text if token.kind in (STRING, QUOTED) else token.low
        tight = not text or word in _TIGHT or text[-1] in "(.%"
        text += word if tight else f" {word}"
    return text


def is_number(token: Token) -> bool:
    """Tell whether this is a number."""
    return token.kind == NUMBER
