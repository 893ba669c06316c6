"""Declarations and whole units of PL/SQL to ``tree`` nodes."""

from __future__ import annotations

from functools import lru_cache

from tools.plsql.finding import SourceError
from tools.plsql.lexer import END, STRING, tokenize
from tools.plsql.parse_statement import StatementParser
from tools.plsql.script import Piece
from tools.plsql.stream import text_of
from tools.plsql.tree import (
    Block,
    Cursor,
    Declaration,
    ExceptionName,
    Expression,
    Parameter,
    Pragma,
    Query,
    Subprogram,
    TypeName,
    Unit,
    Variable,
)

_MODES = (("in", "out"), ("in",), ("out",))
_OPTION_WORDS = (
    "deterministic",
    "result_cache",
    "pipelined",
    "parallel_enable",
    "authid",
    "accessible",
    "aggregate",
)


class UnitParser(StatementParser):
    """Reads one unit: package, package body, subprogram, trigger, type or anonymous block."""

    def __init__(self, text: str, path: str, line: int) -> None:
        super().__init__(tokenize(text, line))
        self.path = path

    def unit(self) -> Unit:
        """Take the unit; something after its end is an error.

        Raises:
            SourceError: the unit does not have the shape of PL/SQL.
        """
        unit = self._created() if self.accept("create") else self._anonymous()
        if self.here.kind != END:
            raise self.fault(f"{unit.kind} {unit.name} ended before this (a missing / or one 'end' too many)")
        return unit

    def _created(self) -> Unit:
        line = self.here.line
        if self.accept("or"):
            self.expect("replace")
        if not self.accept("editionable"):
            self.accept("noneditionable")
        if self.accept("package"):
            return self._package(line, "package body" if self.accept("body") else "package")
        if self.at_any("procedure", "function"):
            return self._standalone(line)
        if self.accept("trigger"):
            return self._trigger(line)
        if self.accept("type"):
            return self._type(line)
        raise self.fault("expected package, procedure, function, trigger or type")

    def _anonymous(self) -> Unit:
        line = self.here.line
        declared = self.declarations() if self.accept("declare") else []
        block = self.body(line, declared)
        self.expect(";")
        return Unit(line, "block", "", self.path, [], block, "", block.end_line, block.end_name)

    def _qualified_name(self) -> str:
        name = self.name("the name of the unit")
        return self.name() if self.accept(".") else name

    def _package(self, line: int, kind: str) -> Unit:
        name = self._qualified_name()
        options = text_of(self.until("is", "as"))
        if options and options.split()[0] not in _OPTION_WORDS:
            raise self.fault(f"'{options}' is no option of a package")
        self.next()
        declared = self.declarations()
        block = None
        if self.at("begin"):
            block = self.body(self.here.line, [])
            end_line, end_name = block.end_line, block.end_name
        else:
            end_line = self.here.line
            self.expect("end")
            end_name = None if self.at(";") else self.name("the name of the unit")
        self.expect(";")
        return Unit(line, kind, name, self.path, declared, block, options, end_line, end_name)

    def _standalone(self, line: int) -> Unit:
        subprogram = self.subprogram(qualified=True)
        end_name = subprogram.block.end_name if subprogram.block else None
        return Unit(
            line,
            subprogram.kind,
            subprogram.name,
            self.path,
            [subprogram],
            None,
            subprogram.options,
            subprogram.end_line,
            end_name,
        )

    def _trigger(self, line: int) -> Unit:
        name = self._qualified_name()
        options = text_of(self.until("begin", "declare"))
        start = self.here.line
        declared = self.declarations() if self.accept("declare") else []
        block = self.body(start, declared)
        self.expect(";")
        return Unit(line, "trigger", name, self.path, [], block, options, block.end_line, block.end_name)

    def _type(self, line: int) -> Unit:
        name = self._qualified_name()
        self.accept("force")
        if not (self.accept("is") or self.accept("as")):
            raise self.fault("expected is")
        options = text_of(self.until(";"))
        end_line = self.here.line
        self.expect(";")
        return Unit(line, "type", name, self.path, [], None, options, end_line, name)

    def declarations(self) -> list[Declaration]:
        """Take declarations up to ``begin`` or ``end``."""
        found: list[Declaration] = []
        while not self.at_any("begin", "end"):
            if self.here.kind == END:
                raise self.fault("expected a declaration, begin or end")
            found.append(self._declaration())
        return found

    def _declaration(self) -> Declaration:
        if self.at_any("procedure", "function"):
            return self.subprogram()
        if self.at("pragma"):
            return self._pragma()
        if self.at_any("type", "subtype"):
            return self._type_name()
        if self.at("cursor"):
            return self._cursor()
        return self._variable()

    def _pragma(self) -> Pragma:
        line = self.next().line
        name = self.name("the name of the pragma")
        arguments = [text_of([token]) for token in self.parenthesized() if not token.op(",")] if self.at("(") else []
        self.expect(";")
        return Pragma(line, name, arguments)

    def _variable(self) -> Variable | ExceptionName:
        line = self.here.line
        name = self.name("a declaration")
        if self.accept("exception"):
            self.expect(";")
            return ExceptionName(line, name)
        constant = self.accept("constant")
        type_text = self.type_text()
        not_null = self.accept("not", "null")
        default = self._default()
        self.expect(";")
        return Variable(line, name, type_text, constant, not_null, default)

    def _default(self) -> Expression | None:
        if self.accept(":=") or self.accept("default"):
            return self.expression()
        return None

    def type_text(self) -> str:
        """Take a type, normalised: ``varchar2(10 char)``, ``rtm_log.id%type``."""
        start = self.place
        self.name("a type")
        while self.accept("."):
            self.name("a type")
        if self.accept("%"):
            if not (self.accept("type") or self.accept("rowtype")):
                raise self.fault("expected type or rowtype after %")
            return text_of(self.tokens[start : self.place])
        if self.at("("):
            self._precision()
        if self.accept("with"):
            self.accept("local")
            self.expect("time", "zone")
        elif self.at_any("day", "year"):
            self.next()
            if self.at("("):
                self._precision()
            self.expect("to")
            self.name()
            if self.at("("):
                self._precision()
        elif self.accept("character"):
            self.expect("set")
            self.name()
        return text_of(self.tokens[start : self.place])

    def _precision(self) -> None:
        inside = self.parenthesized()
        if not inside or len(inside) > 4:
            raise self.fault("a type's length or precision is missing before this")

    def _type_name(self) -> TypeName:
        line, verb = self.here.line, self.next().low
        name = self.name("the name of the type")
        self.expect("is")
        if verb == "subtype":
            of = self.type_text()
            if self.accept("range"):
                of += f" range {text_of(self.until(';', 'not'))}"
            of += " not null" if self.accept("not", "null") else ""
            self.expect(";")
            return TypeName(line, name, "subtype", of, [])
        if self.accept("record"):
            fields = self._fields()
            self.expect(";")
            return TypeName(line, name, "record", "", fields)
        if self.accept("ref"):
            self.expect("cursor")
            of = text_of(self.until(";"))
            self.expect(";")
            return TypeName(line, name, "ref cursor", of, [])
        kind = "table" if self.accept("table") else "varray"
        if kind == "varray":
            self.expect("varray")
            self._precision()
        self.expect("of")
        of = self.type_text()
        self.accept("not", "null")
        if self.accept("index"):
            self.expect("by")
            self.type_text()
            kind = "map"
        self.expect(";")
        return TypeName(line, name, kind, of, [])

    def _fields(self) -> list[Variable]:
        self.expect("(")
        fields = []
        while True:
            line, name = self.here.line, self.name("a field")
            type_text = self.type_text()
            not_null = self.accept("not", "null")
            fields.append(Variable(line, name, type_text, constant=False, not_null=not_null, default=self._default()))
            if not self.accept(","):
                break
        self.expect(")")
        return fields

    def _cursor(self) -> Cursor:
        line = self.next().line
        name = self.name("the name of the cursor")
        parameters = self.parameters()
        if self.accept("return"):
            self.type_text()
        query = None
        if self.accept("is"):
            if not self.at_any("select", "with"):
                raise self.fault("expected a query")
            query = Query(self.here.line, self.until(";"))
        self.expect(";")
        return Cursor(line, name, parameters, query)

    def parameters(self) -> list[Parameter]:
        """Take ``(p_a in varchar2 default null, …)`` or nothing."""
        if not self.accept("("):
            return []
        found = [self._parameter()]
        while self.accept(","):
            found.append(self._parameter())
        self.expect(")")
        return found

    def _parameter(self) -> Parameter:
        line, name = self.here.line, self.name("a parameter")
        mode = next((" ".join(words) for words in _MODES if self.accept(*words)), "")
        nocopy = self.accept("nocopy")
        type_text = self.type_text()
        start = self.place
        value = self._default()
        default = text_of(self.tokens[start + 1 : self.place]) if value is not None else None
        return Parameter(line, name, mode, nocopy, type_text, default, value)

    def subprogram(self, *, qualified: bool = False) -> Subprogram:
        """Take a procedure or function: declaration, definition or call specification."""
        line, kind = self.here.line, self.next().low
        name = self._qualified_name() if qualified else self.name(f"the name of the {kind}")
        parameters = self.parameters()
        returns = None
        if kind == "function":
            self.expect("return")
            returns = self.type_text()
        options = self._options()
        if self.at(";"):
            end_line = self.next().line
            return Subprogram(line, kind, name, parameters, returns, options, None, None, end_line)
        if not (self.accept("is") or self.accept("as")):
            raise self.fault("expected is or ;")
        if self.at_any("mle", "language"):
            foreign = text_of(self.until(";"))
            end_line = self.next().line
            return Subprogram(line, kind, name, parameters, returns, options, None, foreign, end_line)
        block = self.body(line, self.declarations())
        self.expect(";")
        return Subprogram(line, kind, name, parameters, returns, options, block, None, block.end_line)

    def _options(self) -> str:
        start = self.place
        while not self.at_any(";", "is", "as"):
            if not self.at_any(*_OPTION_WORDS):
                raise self.fault("expected ;, is or an option")
            self.next()
            if self.at("("):
                self.parenthesized()
            elif self.at_any("definer", "current_user", "by", "using"):
                self.next()
                if self.at("("):
                    self.parenthesized()
        return text_of(self.tokens[start : self.place])


def parse_unit(piece: Piece) -> Unit:
    """The syntax tree of one PL/SQL piece; nobody may change it, for it is kept and given to all who ask.

    Raises:
        SourceError: with the line where the structure broke.
    """
    return parse_text(piece.text, piece.path, piece.line)


@lru_cache(maxsize=512)
def parse_text(text: str, path: str = "text", line: int = 1) -> Unit:
    """The syntax tree of a unit given as text."""
    return UnitParser(text, path, line).unit()


def call_specification(foreign: str) -> tuple[str, str | None, str] | None:
    """(module, environment, signature) of ``mle module m [env e] signature 's'``; None for another kind."""
    tokens = tokenize(foreign)
    if not tokens[0].word("mle") or not tokens[1].word("module"):
        return None
    module, environment, at = tokens[2].low, None, 3
    if tokens[at].word("env"):
        environment, at = tokens[at + 1].low, at + 2
    if not tokens[at].word("signature") or tokens[at + 1].kind != STRING or tokens[at + 2].kind != END:
        raise SourceError(tokens[at].line, "expected signature '…' at the end of the call specification")
    return module, environment, tokens[at + 1].text[1:-1]


def blocks_of(unit: Unit) -> list[tuple[Subprogram | None, Block]]:
    """Every block of a unit with the subprogram it belongs to, outermost first."""
    found: list[tuple[Subprogram | None, Block]] = []
    if unit.block is not None:
        found.append((None, unit.block))
    pending: list[Declaration] = list(unit.declarations)
    while pending:
        declaration = pending.pop(0)
        if isinstance(declaration, Subprogram) and declaration.block is not None:
            found.append((declaration, declaration.block))
            pending.extend(declaration.block.declarations)
    return found
