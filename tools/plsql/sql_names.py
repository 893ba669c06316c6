"""Names in SQL statements inside PL/SQL: tables, columns, aliases, variables and functions."""

from __future__ import annotations

from collections.abc import Iterator

from tools.plsql.catalogue import language
from tools.plsql.finding import SourceError
from tools.plsql.lexer import BIND, NUMBER, QUOTED, STRING, WORD, Token
from tools.plsql.parse_expression import ExpressionParser
from tools.plsql.resolve import VALUE, Resolver
from tools.plsql.scope import Scope
from tools.plsql.stream import Stream
from tools.plsql.tree import Query, Reference, walk
from tools.plsql.world import World, split_commas

_KEYWORDS_TEXT = """
select insert update delete merge into from where and or not in is null like between exists case when then
else end as on using matched values set order by group having asc desc nulls first last distinct unique all
union intersect minus with connect start prior level nocycle for of nowait skip locked wait join inner left
right full outer cross natural fetch next only row rows offset percent ties returning return bulk collect
commit rollback savepoint to work lock table mode exclusive share over partition range unbounded preceding
following current keep within default json strict lax format absent error wrapper without empty transaction
read write isolation serializable name immediate escape interval day hour minute second year month timestamp
date at time zone local any some cast treat limit out execute exceptions save log errors reject unlimited
sample nextval currval rownum sysdate systimestamp conditional true false keys value key columns path
ordinality nested pretty ascii truncate varchar2 number clob blob integer char raw boolean multiset member
column_value
"""
KEYWORDS = frozenset(_KEYWORDS_TEXT.split())

_ENDS_OF_ITEMS = (",", ")")


class SqlNames:
    """Checks the names of one SQL statement, given as tokens."""

    def __init__(self, world: World, resolver: Resolver) -> None:
        self.world = world
        self.resolver = resolver

    def faults(self, tokens: list[Token], scope: Scope) -> Iterator[tuple[int, str]]:
        """(line, message) for every name that means nothing."""
        if tokens and tokens[0].word("savepoint", "rollback", "commit"):
            return  # what stands there names savepoints
        statement = _Statement(tokens, self._is_relation)
        try:
            yield from _counts(tokens)
        except SourceError as error:
            yield error.line, error.message
        yield from _shapes(tokens)
        at = 0
        while at < len(tokens):
            token = tokens[at]
            is_parameter_name = at + 1 < len(tokens) and tokens[at + 1].op("=>")
            if token.kind not in (WORD, QUOTED) or at in statement.declared or is_parameter_name:
                at += 1
                continue
            end = _chain_end(tokens, at)
            yield from self._chain(tokens[at:end], tokens[end : end + 1], statement, scope, tokens, at)
            at = max(end, at + 1)

    def _is_relation(self, name: str) -> bool:
        return name in self.world.tables or name in language().views

    def _columns(self, relation: str) -> set[str]:
        if relation in self.world.tables:
            return set(self.world.tables[relation].columns)
        return language().views.get(relation, set())

    def _chain(
        self,
        chain: list[Token],
        after: list[Token],
        statement: _Statement,
        scope: Scope,
        tokens: list[Token],
        at: int,
    ) -> Iterator[tuple[int, str]]:
        head, line = chain[0].low, chain[0].line
        names = [token.low for token in chain if token.kind in (WORD, QUOTED)]
        is_call = bool(after) and after[0].op("(")
        if len(names) == 1 and not is_call and self._is_plain(head, statement, scope):
            return
        if len(names) == 2 and head in statement.aliases:
            relation = statement.aliases[head]
            if relation and names[1] not in self._columns(relation) | {"rowid", "*"}:
                yield line, f"{relation} has no column '{names[1]}'"
            return
        if len(names) == 2 and self._is_relation(head):
            if names[1] not in self._columns(head):
                yield line, f"{head} has no column '{names[1]}'"
            return
        if is_call and (head in language().sql_functions or (head in KEYWORDS and scope.find(head) is None)):
            return
        if is_call and len(names) == 1 and statement.is_column_list(at):
            return
        yield from self._reference(tokens, at, scope, statement)

    def _is_plain(self, name: str, statement: _Statement, scope: Scope) -> bool:
        if name in KEYWORDS or name in statement.names or name in statement.relations:
            return True
        symbol = scope.find(name)
        if symbol is not None and not symbol.signatures:
            return True
        return any(name in self._columns(relation) for relation in statement.relations)

    def _reference(
        self, tokens: list[Token], at: int, scope: Scope, statement: _Statement
    ) -> Iterator[tuple[int, str]]:
        """Read a reference with the parser of expressions, and ask what it means; arguments are asked by themselves."""
        parser = ExpressionParser(tokens)
        parser.place = at
        try:
            node = parser.reference()
        except SourceError:
            # An argument that only SQL can read (a subquery, json clauses): the grammar has read it, its names are
            # visited one by one by the caller.
            node = Reference(tokens[at].line, [])
        if node.parts and not any(isinstance(item, Query) for item in walk(node)):
            meaning = self.resolver.resolve(node, scope, VALUE)
            for fault in meaning.faults:
                if not self._is_known_to_sql(node, statement):
                    yield node.line, fault
            if self._is_private(node, scope):
                yield node.line, f"{node.dotted} is not in the specification: SQL may not call it (PLS-00231)"

    def _is_private(self, node: Reference, scope: Scope) -> bool:
        """Tell whether a function of this package body is called that its specification does not show."""
        symbol = scope.find(node.parts[0].name)
        if symbol is None or not symbol.signatures:
            return False
        spec = self.resolver.specs.get(scope.home() or "")
        return spec is None or symbol.name not in spec.symbols

    def _is_known_to_sql(self, node: Reference, statement: _Statement) -> bool:
        return len(node.parts) == 1 and node.parts[0].name in statement.names


def _counts(tokens: list[Token]) -> Iterator[tuple[int, str]]:
    """Faults where a statement gives more or fewer values than it takes."""
    stream = Stream(tokens)
    if stream.accept("insert", "into"):
        stream.until("(", "values", "select")
        if stream.at("("):
            columns = split_commas(stream.parenthesized())
            if stream.accept("values") and stream.at("("):
                values = split_commas(stream.parenthesized())
                if len(columns) != len(values):
                    yield tokens[0].line, f"{len(columns)} columns, {len(values)} values (ORA-00913, ORA-00947)"
    elif stream.accept("select") and _has_into(tokens):
        items = split_commas(stream.until("into", "bulk"))
        if stream.accept("into"):
            targets = split_commas(stream.until("from"))
            is_open = any(token.op("*") for item in items for token in item[-1:])
            # One target may be a record that takes all.
            if not is_open and len(targets) != len(items) and len(targets) > 1:
                yield tokens[0].line, f"{len(items)} columns into {len(targets)} variables (ORA-00947)"


def _shapes(tokens: list[Token]) -> Iterator[tuple[int, str]]:
    """Faults that the published grammar lets pass: a dot that joins nothing, a list where one value stands."""
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        joins = before.kind in (WORD, QUOTED, BIND) or before.op(")")
        if token.op(".") and (before.low in KEYWORDS or not joins or after.kind not in (WORD, QUOTED)):
            yield token.line, f"a dot that joins nothing, before '{after.text}'"
    for at, token in enumerate(tokens[1:], start=1):
        is_value = tokens[at - 1].op(*_BEFORE_VALUES) and token.op("(")
        if is_value and len(split_commas(_inside(tokens, at))) > 1:
            yield token.line, "a list in parentheses is no value: a function's name is missing before it"


_BEFORE_VALUES = (",", "(", "+", "-", "*", "/", "||")


def _inside(tokens: list[Token], at: int) -> list[Token]:
    """The tokens in the parentheses that open at ``at``; nothing where they hold a query."""
    stream = Stream(tokens)
    stream.place = at
    try:
        inside = stream.parenthesized()
    except SourceError:
        return []
    return [] if inside and inside[0].word("select", "with") else inside


def _has_into(tokens: list[Token]) -> bool:
    depth = 0
    for token in tokens:
        depth += 1 if token.op("(") else -1 if token.op(")") else 0
        if depth == 0 and token.word("into"):
            return True
        if depth == 0 and token.word("from"):
            return False
    return False


class _Statement:
    """What a statement declares: the relations it reads, their aliases, and names given with ``as`` or without."""

    def __init__(self, tokens: list[Token], is_relation: object) -> None:
        self.tokens = tokens
        self.relations: list[str] = []
        self.aliases: dict[str, str | None] = {}
        """Alias to relation; None for a subquery, whose columns are not known."""
        self.names: set[str] = set()
        self.declared: set[int] = set()
        self._is_relation = is_relation
        for at, token in enumerate(tokens):
            if token.kind in (WORD, QUOTED):
                self._look(at)

    def _look(self, at: int) -> None:
        token = self.tokens[at]
        before = self.tokens[at - 1] if at else None
        if callable(self._is_relation) and self._is_relation(token.low) and _names_relation(before):
            self.relations.append(token.low)
            self._alias(at + 1, token.low)
        elif before is not None and before.op(")") and not token.word(*KEYWORDS):
            self.aliases[token.low] = None
            self.names.add(token.low)
            self.declared.add(at)
        elif before is not None and not token.word(*KEYWORDS) and self._is_named_here(before, at):
            self.names.add(token.low)
            self.declared.add(at)
        elif before is not None and before.word("with") and self._is(at + 1, "as"):
            self.aliases[token.low] = None
            self.names.add(token.low)
            self.declared.add(at)

    def _is_named_here(self, before: Token, at: int) -> bool:
        """Tell whether the word at ``at`` names what stands before it."""
        return before.word("as", "savepoint") or (_ends_value(before) and self._ends_item(at + 1))

    def _alias(self, at: int, relation: str) -> None:
        if at < len(self.tokens) and self.tokens[at].kind in (WORD, QUOTED) and not self.tokens[at].word(*KEYWORDS):
            self.aliases[self.tokens[at].low] = relation
            self.declared.add(at)

    def _is(self, at: int, word: str) -> bool:
        return at < len(self.tokens) and self.tokens[at].word(word)

    def _ends_item(self, at: int) -> bool:
        if at >= len(self.tokens):
            return True
        return self.tokens[at].op(*_ENDS_OF_ITEMS) or self.tokens[at].word("from", "into", "bulk")

    def is_column_list(self, at: int) -> bool:
        """Tell whether the name at ``at`` is the table of ``insert into t (…)``."""
        return at > 0 and self.tokens[at - 1].word("into") and self.tokens[0].word("insert", "merge")


def _names_relation(before: Token | None) -> bool:
    return before is not None and (before.word("from", "join", "into", "update", "table", "using") or before.op(","))


def _ends_value(token: Token) -> bool:
    if token.kind in (STRING, NUMBER, QUOTED, BIND) or token.op(")"):
        return True
    return token.kind == WORD and (token.low not in KEYWORDS or token.low in ("end", "null"))


def _chain_end(tokens: list[Token], at: int) -> int:
    """The place after ``a.b.c``."""
    end = at + 1
    while end + 1 < len(tokens) and tokens[end].op(".") and tokens[end + 1].kind in (WORD, QUOTED):
        end += 2
    return end
