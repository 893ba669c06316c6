"""Masks for valid Oracle code that the published grammar refuses.

Each mask replaces exactly the construct, keeps every line and column in place, and is counted; the tests
break the code next to each mask and demand that the grammar still sees it. A construct that is neither in
this list nor in the grammar is not used in ``db/``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from tools.plsql.lexer import STRING, WORD, Token, tokenize
from tools.plsql.stream import Stream
from tools.plsql.tree import Pragma, Unit

Edit = tuple[int, int, str]
"""(start, end, replacement): offsets in the text; the replacement is padded to the same shape."""

_JSON_CLAUSES = ("returning", "null", "absent", "error", "strict", "with", "without", "empty")
_JSON_OPTIONS = ("strict", "lax", "with", "without", "unique", "keys")


@dataclass(slots=True)
class Masked:
    """The text to parse, and how often each mask was used."""

    text: str
    counts: Counter[str]


def mask(text: str, unit: Unit | None = None) -> Masked:
    """Mask every known false alarm in ``text``; ``unit`` is its tree, for masks that depend on it."""
    tokens = tokenize(text)
    counts: Counter[str] = Counter()
    edits: list[Edit] = []
    for name, finder in _FINDERS.items():
        for edit in finder(tokens):
            edits.append(edit)
            counts[name] += 1
    for edit in _body_pragmas(tokens, unit):
        edits.append(edit)
        counts["exception_init in a package body"] += 1
    return Masked(_apply(text, edits), counts)


def _apply(text: str, edits: list[Edit]) -> str:
    for start, end, replacement in sorted(edits, reverse=True):
        room = text[start:end]
        blank = "".join(char if char == "\n" else " " for char in room)
        text = text[:start] + replacement + blank[len(replacement) :] + text[end:]
    return text


def _default_on_null(tokens: list[Token]) -> Iterator[Edit]:
    for at, token in enumerate(tokens):
        generated = at > 0 and tokens[at - 1].word("by")
        if token.word("default") and not generated and _words(tokens, at + 1, "on", "null"):
            yield (tokens[at + 1].start, tokens[at + 2].end, "")


def _is_json(tokens: list[Token]) -> Iterator[Edit]:
    for at, token in enumerate(tokens):
        json_at = at + 2 if tokens[min(at + 1, len(tokens) - 1)].word("not") else at + 1
        if not token.word("is") or not _words(tokens, json_at, "json"):
            continue
        stream = Stream(tokens)
        stream.place = json_at + 1
        if stream.at("(") and stream.ahead().word(*_JSON_OPTIONS):
            stream.parenthesized()
        while stream.here.word(*_JSON_OPTIONS):
            stream.next()
        yield (tokens[json_at].start, tokens[stream.place - 1].end, "null")


def _mle_call(tokens: list[Token]) -> Iterator[Edit]:
    """``mle module m signature 's'`` becomes a Java call specification: the same place in the grammar."""
    for at, token in enumerate(tokens):
        if token.word("as", "is") and _words(tokens, at + 1, "mle", "module"):
            end = next((i for i in range(at, len(tokens)) if tokens[i].kind == STRING or tokens[i].op(";")), at)
            if tokens[end].kind == STRING:
                # The text may be too short for the words: a name of one letter is enough for the grammar.
                yield (tokens[at + 1].start, tokens[end].end, "language java name 'j'")


def _inquiry(tokens: list[Token]) -> Iterator[Edit]:
    for token in tokens:
        if token.low in ("$$plsql_unit", "$$plsql_line"):
            yield (token.start, token.end, token.text.replace("$$", "x_"))


def _json_object(tokens: list[Token]) -> Iterator[Edit]:
    """``json_object('k' value v returning clob)`` becomes ``json_objec_('k',     v )``."""
    for at, token in enumerate(tokens):
        if token.word("json_object") and tokens[at + 1].op("("):
            yield (token.start, token.end, token.text[:-1] + "_")


def _json_object_words(tokens: list[Token]) -> Iterator[Edit]:
    for at, token in enumerate(tokens):
        if not (token.word("json_object") and tokens[at + 1].op("(")):
            continue
        depth, starts_member = 0, False
        for i in range(at + 1, len(tokens)):
            here = tokens[i]
            depth += 1 if here.op("(") else -1 if here.op(")") else 0
            if depth == 0:
                break
            if depth > 1:
                continue
            if here.word("key") and starts_member:
                yield (here.start, here.end, "")
            elif (here.word("value", "is") and not _words(tokens, i + 1, "null")) or here.op(":"):
                yield (here.start, here.end, ",")
            elif here.word("format") and _words(tokens, i + 1, "json"):
                yield (here.start, tokens[i + 1].end, "")
            elif here.word(*_JSON_CLAUSES) and _begins_clause(tokens, i):
                end = _closing(tokens, i)
                yield (here.start, tokens[end - 1].end, "")
                break
            starts_member = here.op("(", ",")


def _begins_clause(tokens: list[Token], at: int) -> bool:
    word = tokens[at]
    if word.word("null", "absent", "error"):
        return _words(tokens, at + 1, "on", "null") or _words(tokens, at + 1, "on", "error")
    return word.word("returning") or _words(tokens, at + 1, "unique") or word.word("strict")


def _closing(tokens: list[Token], at: int) -> int:
    depth = 0
    for i in range(at, len(tokens)):
        depth += 1 if tokens[i].op("(") else -1 if tokens[i].op(")") else 0
        if depth < 0:
            return i
    return len(tokens) - 1


def _accessible_by(tokens: list[Token]) -> Iterator[Edit]:
    for at, token in enumerate(tokens):
        if token.word("accessible") and _words(tokens, at + 1, "by") and tokens[at + 2].op("("):
            yield (token.start, tokens[_closing(tokens, at + 3)].end, "")


def _save_exceptions(tokens: list[Token]) -> Iterator[Edit]:
    for at, token in enumerate(tokens):
        if token.word("save") and _words(tokens, at + 1, "exceptions"):
            yield (token.start, tokens[at + 1].end, "")


def _cascade_constraints(tokens: list[Token]) -> Iterator[Edit]:
    if not (tokens[0].word("drop") and tokens[min(1, len(tokens) - 1)].word("table")):
        return
    for at, token in enumerate(tokens):
        if token.word("cascade") and _words(tokens, at + 1, "constraints"):
            yield (token.start, tokens[at + 1].end, "")


def _identity_options(tokens: list[Token]) -> Iterator[Edit]:
    for at, token in enumerate(tokens):
        if token.word("identity") and tokens[at + 1].op("("):
            yield (tokens[at + 1].start, tokens[_closing(tokens, at + 2)].end, "")


def _chained_calls(tokens: list[Token]) -> Iterator[Edit]:
    """``a.b(x).c(y);`` as a statement becomes ``a.b(x, y);``, and ``a.b(x).c();`` becomes ``a.b(x);``."""
    for at in range(1, len(tokens)):
        starts = tokens[at - 1].op(";") or tokens[at - 1].word("begin", "then", "else", "loop")
        if not starts or tokens[at].kind != WORD:
            continue
        end = at
        while _op(tokens, end + 1, ".") and end + 2 < len(tokens):
            end += 2
        if not _op(tokens, end + 1, "("):
            continue
        close = _closing(tokens, end + 2)
        while _op(tokens, close + 1, ".") and _op(tokens, close + 3, "("):
            if _op(tokens, close + 4, ")"):
                yield (tokens[close + 1].start, tokens[close + 4].end, "")
            else:
                yield (tokens[close].start, tokens[close + 3].end, ",")
            close = _closing(tokens, close + 4)


def _op(tokens: list[Token], at: int, text: str) -> bool:
    return at < len(tokens) and tokens[at].op(text)


def _member_decode(tokens: list[Token]) -> Iterator[Edit]:
    """DECODE is a function of SQL; behind a dot (``apex_jwt.decode``) it is a name like any other."""
    for before, token in pairwise(tokens):
        if before.op(".") and token.word("decode"):
            yield (token.start, token.end, "decod_")


def _body_pragmas(tokens: list[Token], unit: Unit | None) -> Iterator[Edit]:
    if unit is None or unit.kind != "package body":
        return
    first_line = unit.line - 1
    lines = {node.line - first_line for node in unit.declarations if isinstance(node, Pragma)}
    for at, token in enumerate(tokens):
        if token.word("pragma") and token.line in lines and _words(tokens, at + 1, "exception_init"):
            end = next(i for i in range(at, len(tokens)) if tokens[i].op(";"))
            yield (token.start, tokens[end].end, "")


def _words(tokens: list[Token], at: int, *names: str) -> bool:
    return at + len(names) <= len(tokens) and all(tokens[at + i].word(name) for i, name in enumerate(names))


_FINDERS: dict[str, Callable[[list[Token]], Iterator[Edit]]] = {
    "default on null": _default_on_null,
    "is json": _is_json,
    "mle call specification": _mle_call,
    "$$plsql_unit": _inquiry,
    "json_object": _json_object,
    "words of json_object": _json_object_words,
    "accessible by": _accessible_by,
    "save exceptions": _save_exceptions,
    "drop table cascade constraints": _cascade_constraints,
    "options of an identity column": _identity_options,
    "chained call as a statement": _chained_calls,
    "decode behind a dot": _member_decode,
}
