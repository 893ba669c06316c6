"""Every name is declared, every call fits, every assignment goes to something that can be assigned.

This is the part of a compiler that no parser does: it finds a misspelt variable, a wrong named argument, a call
without a required parameter, a constant that is written to, a boolean where a text is wanted, a function whose value
is lost and a subprogram used before it is declared.
"""

from __future__ import annotations

from tools.plsql.calls import bind
from tools.plsql.finding import Finding
from tools.plsql.kinds import BOOLEAN, PLAIN, Kinds, clash
from tools.plsql.lexer import Token
from tools.plsql.resolve import PROCEDURE, VALUE, Meaning, Resolver, Typed
from tools.plsql.scope import Scope, Symbol, scope_of, scope_of_parameters, symbol_of
from tools.plsql.sql_names import SqlNames
from tools.plsql.tree import (
    Assign,
    Binary,
    Block,
    Call,
    Cast,
    Cursor,
    CursorWork,
    Declaration,
    Execute,
    Exit,
    Expression,
    ForAll,
    If,
    Loop,
    Parameter,
    Part,
    Pragma,
    Predicate,
    Query,
    Raise,
    Reference,
    Return,
    Sql,
    Statement,
    Subprogram,
    Tuple,
    TypeName,
    Unary,
    Unit,
    Variable,
    walk,
)
from tools.plsql.world import World, select_names

_ATTRIBUTES = ("found", "notfound", "isopen", "rowcount", "bulk_rowcount", "bulk_exceptions")


class _Names:
    def __init__(self, world: World, unit: Unit, resolver: Resolver) -> None:
        self.resolver = resolver
        self.unit = unit
        self.sql = SqlNames(world, resolver)
        self.kinds = Kinds(resolver)
        self.findings: list[Finding] = []
        self.used: dict[int, Symbol] = {}
        # The symbols are kept with their ids: a freed symbol's id may be given to a new one.

    def check(self) -> list[Finding]:
        unit = self.unit
        package = unit.name if unit.kind in ("package", "package body") else None
        outer = self.resolver.specs.get(unit.name) if unit.kind == "package body" else None
        scope = scope_of(unit.declarations, outer, package)
        for declaration in unit.declarations:
            self._declaration(declaration, scope)
        if unit.block is not None:
            self._block(unit.block, scope)
        return self.findings

    def _find(self, line: int, message: str) -> None:
        self.findings.append(Finding(self.unit.path, line, "names", message))

    # --- declarations

    def _declaration(self, declaration: Declaration, scope: Scope) -> None:
        if isinstance(declaration, Variable):
            self._variable(declaration, scope)
        elif isinstance(declaration, TypeName):
            for item in declaration.fields:
                self._variable(item, scope)
            if declaration.of and declaration.kind != "ref cursor":
                self._type(declaration.of.split(" range ")[0], declaration.line, scope)
        elif isinstance(declaration, Cursor):
            inner = Scope(scope)
            self._parameters(declaration.parameters, scope, inner)
            if declaration.query is not None:
                self._tokens(declaration.query, inner)
        elif isinstance(declaration, Pragma):
            self._pragma(declaration, scope)
        elif isinstance(declaration, Subprogram):
            self._subprogram(declaration, scope)

    def _variable(self, variable: Variable, scope: Scope) -> None:
        self._type(variable.type, variable.line, scope)
        if variable.default is not None:
            self._values(variable.default, scope)
            self._fit(Typed(variable.type, scope), variable.default, scope, variable.line, variable.name)
        elif variable.constant or variable.not_null:
            self._find(variable.line, f"{variable.name} needs a value where it is declared")

    def _parameters(self, parameters: list[Parameter], scope: Scope, inner: Scope) -> None:
        for parameter in parameters:
            self._type(parameter.type, parameter.line, scope)
            if "(" in parameter.type:
                self._find(parameter.line, f"{parameter.name}: a parameter's type has no length (PLS-00103)")
            if parameter.value is not None:
                self._values(parameter.value, scope)
                if "out" in parameter.mode:
                    self._find(parameter.line, f"{parameter.name}: an out parameter has no default")
            if parameter.name in inner.symbols and inner.symbols[parameter.name].declaration is not parameter:
                self._find(parameter.line, f"{parameter.name} is declared twice")
            inner.add(Symbol("parameter", parameter.name, parameter.type, parameter.line, parameter))

    def _subprogram(self, subprogram: Subprogram, scope: Scope) -> None:
        inner = scope_of_parameters(subprogram, scope)
        self._parameters(subprogram.parameters, scope, inner)
        if subprogram.returns is not None:
            self._type(subprogram.returns, subprogram.line, scope)
            if "(" in subprogram.returns:
                self._find(subprogram.line, f"{subprogram.name}: a returned type has no length")
        if subprogram.block is not None:
            self._block(subprogram.block, inner)

    def _pragma(self, pragma: Pragma, scope: Scope) -> None:
        known = ("autonomous_transaction", "exception_init", "inline", "udf", "serially_reusable", "deprecate")
        if pragma.name not in known:
            self._find(pragma.line, f"there is no pragma {pragma.name}")
        if pragma.name == "exception_init":
            symbol = scope.find(pragma.arguments[0]) if pragma.arguments else None
            if symbol is None or symbol.kind != "exception":
                self._find(pragma.line, "exception_init names no exception that is declared")
            if len(pragma.arguments) != 3 or pragma.arguments[1] != "-" or not pragma.arguments[2].isdigit():
                self._find(pragma.line, "exception_init takes an exception and a negative number")

    def _type(self, text: str, line: int, scope: Scope) -> None:
        if self.resolver.shape(Typed(text, scope)) is None:
            self._find(line, f"there is no type {text}")

    # --- statements

    def _block(self, block: Block, outer: Scope) -> None:
        scope = Scope(outer)
        for declaration in block.declarations:
            symbol = symbol_of(declaration)
            if symbol is not None:
                known = scope.symbols.get(symbol.name)
                if known is not None and not known.signatures:
                    self._find(declaration.line, f"{symbol.name} is declared twice")
                scope.add(symbol)
            self._declaration(declaration, scope)
        self._statements(block.body, scope)
        for handler in block.handlers:
            inner = Scope(scope, labels={"handler"})
            for name in handler.names:
                self._exception(name, handler.line, scope)
            self._statements(handler.body, inner)
        for symbol in scope.symbols.values():
            if symbol.kind in ("variable", "constant", "cursor") and id(symbol) not in self.used:
                self._find(symbol.line, f"{symbol.name} is never used")

    def _exception(self, name: str, line: int, scope: Scope) -> None:
        if name == "others":
            return
        reference = Reference(line, [Part(part) for part in name.split(".")])
        meaning = self._resolve(reference, scope, VALUE)
        if not meaning.faults and meaning.role != "exception":
            self._find(line, f"{name} is not an exception")

    def _statements(self, statements: list[Statement], scope: Scope) -> None:
        for statement in statements:
            self._statement(statement, scope)

    def _statement(self, statement: Statement, scope: Scope) -> None:
        if isinstance(statement, Block):
            self._block(statement, scope)
        elif isinstance(statement, If):
            self._values(statement.operand, scope)
            for condition, body in statement.branches:
                self._values(condition, scope)
                if statement.operand is None:
                    self._condition(condition, scope, statement.line)
                self._statements(body, scope)
            self._statements(statement.otherwise or [], scope)
        elif isinstance(statement, Loop):
            self._loop(statement, scope)
        elif isinstance(statement, Assign):
            self._values(statement.value, scope)
            self._target(statement.target, scope)
            wanted = self.kinds.of(statement.target, scope)
            self._clash(wanted, self.kinds.of(statement.value, scope), statement.line, statement.target.dotted)
        elif isinstance(statement, Call):
            self._call(statement, scope)
        elif isinstance(statement, Raise):
            self._raise(statement, scope)
        else:
            self._plain(statement, scope)

    def _plain(self, statement: Statement, scope: Scope) -> None:
        if isinstance(statement, Sql):
            self._tokens(statement, scope)
        elif isinstance(statement, Execute):
            self._values(statement.statement, scope)
            self._sql_tokens(statement.rest, scope)
        elif isinstance(statement, CursorWork):
            self._values(statement.cursor, scope)
            self._sql_tokens(statement.rest, scope)
        elif isinstance(statement, ForAll):
            inner = Scope(scope)
            inner.add(Symbol("index", statement.variable, "pls_integer", statement.line))
            self._sql_tokens(statement.header, scope)
            self._tokens(statement.statement, inner)
        elif isinstance(statement, Exit):
            self._values(statement.condition, scope)
            self._condition(statement.condition, scope, statement.line)
            if statement.label is not None and not scope.is_labelled(statement.label):
                self._find(statement.line, f"no loop around this has the label {statement.label}")
        elif isinstance(statement, Return):
            self._return(statement, scope)

    def _loop(self, loop: Loop, scope: Scope) -> None:
        for item in loop.header:
            self._values(item, scope)
            if loop.kind == "while":
                self._condition(item, scope, loop.line)
        inner = Scope(scope, labels={loop.label} if loop.label else set())
        if loop.variable is not None:
            type_text = "pls_integer" if loop.kind == "range" else None
            columns = self._columns_of(loop, scope) if loop.kind == "cursor" else None
            inner.add(Symbol("index", loop.variable, type_text, loop.line, columns=columns))
        self._statements(loop.body, inner)

    @staticmethod
    def _columns_of(loop: Loop, scope: Scope) -> list[str] | None:
        over = loop.header[0]
        if isinstance(over, Reference):
            symbol = scope.find(over.parts[0].name)
            declaration = symbol.declaration if symbol is not None else None
            over = declaration.query if isinstance(declaration, Cursor) and declaration.query else over
        return select_names(over.tokens) if isinstance(over, Query) else None

    def _call(self, call: Call, scope: Scope) -> None:
        if call.target.attribute is not None:
            self._find(call.line, "an attribute is no statement")
        meaning = self._resolve(call.target, scope, PROCEDURE)
        if not meaning.faults and meaning.role not in (PROCEDURE, "unknown"):
            self._find(call.line, f"{call.target.dotted} is not a procedure")
        for part in call.target.parts:
            for argument in part.arguments or []:
                self._values(argument.value, scope)

    def _target(self, target: Reference, scope: Scope) -> None:
        self._values(target, scope)
        if not self.resolver.is_assignable(target, scope):
            self._find(target.line, f"{target.dotted} cannot be assigned to")

    def _raise(self, statement: Raise, scope: Scope) -> None:
        if statement.name is None:
            if not scope.is_labelled("handler"):
                self._find(statement.line, "raise without a name stands outside an exception handler (PLS-00367)")
            return
        self._exception(statement.name.dotted, statement.line, scope)

    def _return(self, statement: Return, scope: Scope) -> None:
        self._values(statement.value, scope)
        owner = _owner(scope)
        is_function = owner is not None and owner.kind == "function"
        if is_function and statement.value is None and "pipelined" not in (owner.options if owner else ""):
            self._find(statement.line, "return without a value in a function (PLS-00503)")
        if is_function and owner is not None and owner.returns is not None:
            self._fit(Typed(owner.returns, scope), statement.value, scope, statement.line, "the returned value")
        if not is_function and statement.value is not None:
            self._find(statement.line, "return with a value outside a function (PLS-00372)")

    # --- expressions

    def _values(self, expression: object, scope: Scope) -> None:
        allowed: set[int] = set()
        for node in walk(expression):
            if isinstance(node, Predicate) and node.kind == "in":
                allowed.update(id(item) for item in [node.operand, *node.items])
            elif isinstance(node, Tuple) and id(node) not in allowed:
                self._find(node.line, "a list in parentheses is no value: a function's name is missing before it")
            if isinstance(node, Query):
                self._tokens(node, scope)
            elif isinstance(node, Reference):
                self._value(node, scope)
            elif isinstance(node, Cast):
                self._type(node.type, node.line, scope)
            elif isinstance(node, Binary | Unary):
                self._operands(node, scope)

    def _operands(self, node: Binary | Unary, scope: Scope) -> None:
        operands = [node.operand] if isinstance(node, Unary) else [node.left, node.right]
        if node.operator in ("and", "or", "not"):
            for operand in operands:
                self._condition(operand, scope, node.line)
        elif node.operator in ("||", "+", "-", "*", "/", "**", "mod"):
            for operand in operands:
                self._clash(PLAIN, self.kinds.of(operand, scope), node.line, f"an operand of {node.operator}")
        elif len(operands) == 2:
            one, other = (self.kinds.of(operand, scope) for operand in operands)
            if clash(one, other):
                self._find(node.line, f"{one} and {other} cannot be compared (PLS-00306)")

    def _condition(self, expression: Expression | None, scope: Scope, line: int) -> None:
        if expression is not None:
            self._clash(BOOLEAN, self.kinds.of(expression, scope), line, "a condition")

    def _fit(self, wanted: Typed, value: Expression | None, scope: Scope, line: int, what: str) -> None:
        self._clash(self.kinds.of_type(wanted), self.kinds.of(value, scope), line, what)

    def _clash(self, wanted: str | None, given: str | None, line: int, what: str) -> None:
        if clash(wanted, given):
            self._find(line, f"{what} should be {wanted}, this is {given} (PLS-00382)")

    def _value(self, reference: Reference, scope: Scope) -> None:
        meaning = self._resolve(reference, scope, VALUE)
        if not meaning.faults and meaning.role in ("exception", "type"):
            self._find(reference.line, f"{reference.dotted} is not a value")
        attribute = reference.attribute
        if attribute is not None and attribute not in _ATTRIBUTES:
            self._find(reference.line, f"there is no attribute %{attribute}")

    def _resolve(self, reference: Reference, scope: Scope, want: str) -> Meaning:
        meaning = self.resolver.resolve(reference, scope, want)
        for fault in meaning.faults:
            self._find(reference.line, fault)
        symbol = scope.find(reference.parts[0].name)
        if symbol is not None:
            self.used[id(symbol)] = symbol
            self._refuse_early(symbol, reference)
        if meaning.call is not None:
            _, bound = bind(meaning.call.signature, meaning.call.arguments)
            for formal, argument in bound:
                if meaning.call.is_only:
                    wanted = Typed(formal.type, meaning.call.scope, meaning.call.supplied)
                    self._fit(wanted, argument.value, scope, argument.line, formal.name)
                if "out" in formal.mode and not self._takes(argument.value, scope):
                    self._find(argument.line, f"{formal.name} is {formal.mode}: it needs a variable")
        return meaning

    def _takes(self, value: object, scope: Scope) -> bool:
        return isinstance(value, Reference) and self.resolver.is_assignable(value, scope)

    def _refuse_early(self, symbol: Symbol, reference: Reference) -> None:
        declared_here = symbol.declaration is not None and self.unit.line <= symbol.line <= self.unit.end_line
        if not declared_here or symbol.line <= reference.line or self.unit.kind == "package":
            return
        spec = self.resolver.specs.get(self.unit.name)
        if spec is None or symbol.name not in spec.symbols:
            self._find(reference.line, f"{symbol.name} is used before it is declared (PLS-00313)")

    def _tokens(self, node: Sql | Query, scope: Scope) -> None:
        self._sql_tokens(node.tokens, scope)

    def _sql_tokens(self, tokens: list[Token], scope: Scope) -> None:
        for line, fault in self.sql.faults(tokens, scope):
            self._find(line, fault)
        for token in tokens:
            symbol = scope.find(token.low)
            if symbol is not None:
                self.used[id(symbol)] = symbol


def _owner(scope: Scope) -> Subprogram | None:
    current: Scope | None = scope
    while current is not None:
        if current.subprogram is not None:
            return current.subprogram
        current = current.outer
    return None


def check_names(world: World) -> list[Finding]:
    """Findings about names and calls in every unit."""
    resolver = Resolver(world)
    findings: list[Finding] = []
    for unit in world.units:
        findings.extend(_Names(world, unit, resolver).check())
    return sorted(set(findings))
