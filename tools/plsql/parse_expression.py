"""Expressions of PL/SQL to ``tree`` nodes, in the order of operators of the Language Reference, "Expressions"."""

from __future__ import annotations

from tools.plsql.lexer import BIND, NUMBER, QUOTED, STRING, WORD, string_value
from tools.plsql.stream import RESERVED, Stream, text_of
from tools.plsql.tree import (
    Argument,
    Binary,
    Case,
    Cast,
    Expression,
    JsonObject,
    JsonRead,
    Literal,
    Part,
    Predicate,
    Query,
    Reference,
    Tuple,
    Unary,
)

_COMPARISONS = ("=", "<>", "!=", "^=", "~=", "<", ">", "<=", ">=")
_JSON_READERS = ("json_value", "json_query", "json_exists", "json_array", "json_arrayagg", "json_serialize")
_JSON_CLAUSES = (
    "returning",
    "null",
    "absent",
    "error",
    "format",
    "strict",
    "with",
    "without",
    "empty",
    "default",
    "pretty",
)
_DATE_KINDS = ("date", "timestamp", "interval")


class ExpressionParser(Stream):
    """Reads one expression from the stream, by descent."""

    def expression(self) -> Expression:
        """Take an expression, ``or`` and below."""
        left = self._and()
        while self.at("or"):
            line = self.next().line
            left = Binary(line, "or", left, self._and())
        return left

    def _and(self) -> Expression:
        left = self._not()
        while self.at("and"):
            line = self.next().line
            left = Binary(line, "and", left, self._not())
        return left

    def _not(self) -> Expression:
        if self.at("not"):
            line = self.next().line
            return Unary(line, "not", self._not())
        return self._comparison()

    def _comparison(self) -> Expression:  # noqa: PLR0911 - one return for each form
        left = self._sum()
        line = self.here.line
        if self.at_any(*_COMPARISONS):
            operator = self.next().text
            return Binary(line, operator, left, self._sum())
        if self.at("is"):
            self.next()
            return self._is_test(left, line)
        negated = self.accept("not")
        if self.accept("like"):
            right = self._sum()
            if self.accept("escape"):
                self._sum()
            return Binary(line, "like", left, right, negated)
        if self.accept("between"):
            low = self._sum()
            self.expect("and")
            return Predicate(line, "between", left, negated, [low, self._sum()])
        if self.accept("in"):
            return Predicate(line, "in", left, negated, self._in_items())
        if self.accept("member"):
            self.accept("of")
            return Predicate(line, "member", left, negated, [self._sum()])
        if negated:
            raise self.fault("expected like, between, in or member after not")
        return left

    def _is_test(self, operand: Expression, line: int) -> Expression:
        negated = self.accept("not")
        for kind in ("null", "json", "empty", "nan", "infinite"):
            if self.accept(kind):
                if kind == "json":
                    self._json_test_options()
                return Predicate(line, kind, operand, negated)
        if self.accept("of"):
            self.accept("type")
            return Predicate(line, "of", operand, negated, [Literal(line, "string", text_of(self.parenthesized()))])
        raise self.fault("expected null or json after is")

    def _json_test_options(self) -> None:
        if self.at("("):
            self.parenthesized()
        while self.at_any("strict", "lax", "with", "without", "unique", "keys", "allow", "disallow", "scalars"):
            self.next()

    def _in_items(self) -> list[Expression]:
        if self.at("("):
            line = self.here.line
            if self.ahead().word("select", "with"):
                return [Query(line, self.parenthesized())]
            self.next()
            items = [self.expression()]
            while self.accept(","):
                items.append(self.expression())
            self.expect(")")
            return items
        return [self._sum()]

    def _sum(self) -> Expression:
        left = self._product()
        while self.at_any("+", "-", "||"):
            token = self.next()
            left = Binary(token.line, token.text, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._power()
        while self.at_any("*", "/") or self.here.word("mod", "rem"):
            token = self.next()
            left = Binary(token.line, token.low, left, self._power())
        return left

    def _power(self) -> Expression:
        left = self._unary()
        if self.at("at", "time", "zone"):
            line = self.here.line
            self.expect("at", "time", "zone")
            left = Binary(line, "at time zone", left, self._unary())
        if self.at("**"):
            line = self.next().line
            return Binary(line, "**", left, self._power())
        return left

    def _unary(self) -> Expression:
        if self.at_any("-", "+"):
            token = self.next()
            return Unary(token.line, token.text, self._unary())
        if self.at("exists"):
            line = self.next().line
            return Unary(line, "exists", Query(line, self.parenthesized()))
        return self._primary()

    def _primary(self) -> Expression:  # noqa: PLR0911 - one return for each form
        token = self.here
        if token.kind in (STRING, NUMBER):
            self.next()
            if token.kind == STRING:
                return Literal(token.line, "string", string_value(token))
            return Literal(token.line, "number", token.text)
        if token.op("("):
            return self._parentheses()
        if token.kind == BIND:
            self.next()
            return Reference(token.line, [Part(token.low)])
        if token.word("null"):
            self.next()
            return Literal(token.line, "null", "")
        if token.word("true", "false"):
            self.next()
            return Literal(token.line, "boolean", token.low)
        if token.word("case"):
            return self._case()
        if token.kind in (WORD, QUOTED):
            return self._named(token.low)
        raise self.fault("expected an expression")

    def _parentheses(self) -> Expression:
        line = self.here.line
        if self.ahead().word("select", "with"):
            return Query(line, self.parenthesized())
        self.next()
        items = [self.expression()]
        while self.accept(","):
            items.append(self.expression())
        self.expect(")")
        return items[0] if len(items) == 1 else Tuple(line, items)

    def _case(self) -> Expression:
        line = self.next().line
        operand = None if self.at("when") else self.expression()
        branches = []
        while self.accept("when"):
            condition = self.expression()
            self.expect("then")
            branches.append((condition, self.expression()))
        if not branches:
            raise self.fault("expected when")
        otherwise = self.expression() if self.accept("else") else None
        self.expect("end")
        return Case(line, operand, branches, otherwise)

    def _named(self, name: str) -> Expression:
        line = self.here.line
        if name in _DATE_KINDS and self.ahead().kind == STRING:
            self.next()
            value = string_value(self.next())
            while name == "interval" and self.at_any("day", "hour", "minute", "second", "year", "month", "to"):
                value += f" {self.next().low}"
            return Literal(line, name, value)
        if self.ahead().op("("):
            if name in ("cast", "treat"):
                return self._cast()
            if name == "json_object":
                return self._json_object()
            if name in _JSON_READERS:
                return self._json_read()
            if name == "extract":
                return self._extract()
        if name == "new" and self.ahead().kind == WORD and self.ahead().low not in RESERVED:
            self.next()
        if name in RESERVED:
            raise self.fault("expected an expression")
        return self.reference()

    def reference(self) -> Reference:
        """Take ``a.b(c).d%attribute``."""
        line = self.here.line
        parts = [Part(self.next().low if self.here.kind == BIND else self.name())]
        attribute = None
        while True:
            if self.at("(") and parts[-1].arguments is None:
                parts[-1].arguments = self.arguments()
            elif self.at("("):
                parts.append(Part("", self.arguments()))
            elif self.at("."):
                self.next()
                parts.append(Part(self._member()))
            elif self.at("%"):
                self.next()
                attribute = self.next().low
                if attribute in ("bulk_rowcount", "bulk_exceptions"):
                    self._bulk_member()
                break
            else:
                break
        return Reference(line, parts, attribute)

    def _bulk_member(self) -> None:
        """After ``sql%bulk_exceptions``: an index and error_index or error_code, or count."""
        if self.at("("):
            self.arguments()
        if self.accept(".") and not self.here.word("count", "error_index", "error_code"):
            raise self.fault("expected count, error_index or error_code")
        if self.tokens[self.place - 1].op("."):
            self.next()

    def _member(self) -> str:
        """After a dot methods may have reserved names (``l_list.exists(1)``, ``delete``)."""
        if self.here.kind not in (WORD, QUOTED):
            raise self.fault("expected a name after the dot")
        return self.next().low

    def arguments(self) -> list[Argument]:
        """Take ``(a, n => b)``; nothing between the parentheses is an empty list."""
        self.expect("(")
        found: list[Argument] = []
        if self.accept(")"):
            return found
        while True:
            line = self.here.line
            name = None
            if self.ahead().op("=>"):
                name = self.name("a parameter name")
                self.next()
            found.append(Argument(line, name, self._argument_value()))
            if not self.accept(","):
                break
        self.expect(")")
        return found

    def _argument_value(self) -> Expression:
        if self.at("*"):
            return Literal(self.next().line, "star", "*")
        self.accept("distinct")
        value = self.expression()
        if self.accept("using"):  # to_char(x using nchar_cs)
            self.name()
        return value

    def _cast(self) -> Expression:
        line = self.next().line
        self.expect("(")
        operand = self.expression()
        self.expect("as")
        tokens = self.until(")")
        if not tokens:
            raise self.fault("expected a type")
        self.expect(")")
        cast = Cast(line, operand, text_of(tokens))
        if self.at("."):  # treat(x as t).member
            self.next()
            member = self.reference()
            member.parts.insert(0, Part("", [Argument(line, None, cast)]))
            return member
        return cast

    def _extract(self) -> Expression:
        line = self.next().line
        self.expect("(")
        unit = self.name()
        self.expect("from")
        operand = self.expression()
        self.expect(")")
        return Reference(line, [Part("extract", [Argument(line, unit, operand)])])

    def _json_object(self) -> Expression:
        line = self.next().line
        self.expect("(")
        members = []
        while not self.at(")") and not self.at_any(*_JSON_CLAUSES):
            self.accept("key")
            key = self._sum()
            if not (self.accept("value") or self.accept("is") or self.accept(":")):
                raise self.fault("expected value")
            value = self.expression()
            members.append((key, value, self.accept("format", "json")))
            if not self.accept(","):
                break
        return JsonObject(line, members, self._json_clauses())

    def _json_read(self) -> Expression:
        token = self.next()
        self.expect("(")
        arguments = []
        while not self.at(")") and not self.at_any(*_JSON_CLAUSES):
            arguments.append(self.expression())
            self.accept("format", "json")
            if not self.accept(","):
                break
        if not arguments and token.low != "json_array":
            raise self.fault("expected an expression")
        return JsonRead(token.line, token.low, arguments, self._json_clauses())

    def _json_clauses(self) -> str:
        clauses = self.until(")")
        if clauses and clauses[0].low not in _JSON_CLAUSES:
            raise self.fault(f"'{clauses[0].text}' begins no JSON clause")
        self.expect(")")
        return text_of(clauses)
