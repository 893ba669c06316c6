"""Statements of PL/SQL to ``tree`` nodes."""

from __future__ import annotations

from abc import abstractmethod

from tools.plsql.parse_expression import ExpressionParser
from tools.plsql.tree import (
    Assign,
    Block,
    Call,
    CursorWork,
    Declaration,
    Execute,
    Exit,
    Expression,
    ForAll,
    Handler,
    If,
    Literal,
    Loop,
    Null,
    Query,
    Raise,
    Reference,
    Return,
    Sql,
    Statement,
)

SQL_VERBS = (
    "select",
    "insert",
    "update",
    "delete",
    "merge",
    "with",
    "lock",
    "commit",
    "rollback",
    "savepoint",
    "set",
)
_CLOSERS = ("end", "else", "elsif", "when", "exception")


class StatementParser(ExpressionParser):
    """Reads statements; declarations come from the subclass that knows them."""

    @abstractmethod
    def declarations(self) -> list[Declaration]:
        """Take declarations up to ``begin`` or ``end``."""

    def statements(self) -> list[Statement]:
        """Take statements up to the word that closes their list; an empty list is an error."""
        found: list[Statement] = []
        while not self.at_any(*_CLOSERS):
            found.append(self.statement())
        if not found:
            raise self.fault("expected a statement")
        return found

    def statement(self) -> Statement:
        """Take one statement with its semicolon."""
        label = None
        if self.accept("<<"):
            label = self.name("a label")
            self.expect(">>")
        reader = _READERS.get(self.here.low) if self.here.kind == "word" else None
        if reader is None or (self.here.low == "set" and self.ahead().low != "transaction"):
            return self._assignment_or_call()
        statement = reader(self)
        if label is not None and isinstance(statement, Loop):
            statement.label = label
        return statement

    def _assignment_or_call(self) -> Statement:
        line = self.here.line
        target = self.reference()
        if self.accept(":="):
            value = self.expression()
            self.expect(";")
            return Assign(line, target, value)
        self.expect(";")
        return Call(line, target)

    def _if(self) -> Statement:
        line = self.next().line
        branches = [self._branch()]
        while self.accept("elsif"):
            branches.append(self._branch())
        otherwise = self.statements() if self.accept("else") else None
        self.expect("end", "if", ";")
        return If(line, None, branches, otherwise)

    def _branch(self) -> tuple[Expression, list[Statement]]:
        condition = self.expression()
        self.expect("then")
        return condition, self.statements()

    def _case_statement(self) -> Statement:
        line = self.next().line
        operand = None if self.at("when") else self.expression()
        branches = []
        while self.accept("when"):
            branches.append(self._branch())
        otherwise = self.statements() if self.accept("else") else None
        self.expect("end", "case", ";")
        return If(line, operand, branches, otherwise)

    def _plain_loop(self) -> Statement:
        return self._loop_body("loop", self.here.line, None, [])

    def _while(self) -> Statement:
        line = self.next().line
        return self._loop_body("while", line, None, [self.expression()])

    def _for(self) -> Statement:
        line = self.next().line
        variable = self.name("a loop variable")
        self.expect("in")
        if self.at("("):
            start = self.place
            tokens = self.parenthesized()
            if tokens and tokens[0].word("select", "with"):
                return self._loop_body("cursor", line, variable, [Query(line, tokens)])
            self.place = start
        self.accept("reverse")
        header: list[Expression] = [self._sum()]
        kind = "cursor"
        if self.accept(".."):
            header.append(self._sum())
            kind = "range"
        return self._loop_body(kind, line, variable, header)

    def _loop_body(self, kind: str, line: int, variable: str | None, header: list[Expression]) -> Statement:
        self.expect("loop")
        body = self.statements()
        self.expect("end", "loop")
        if not self.at(";"):
            self.name("a label")
        self.expect(";")
        return Loop(line, kind, variable, header, body)

    def _exit(self) -> Statement:
        verb = self.next()
        label = None if self.at_any(";", "when") else self.name("a label")
        condition = self.expression() if self.accept("when") else None
        self.expect(";")
        return Exit(verb.line, verb.low, label, condition)

    def _return(self) -> Statement:
        line = self.next().line
        value = None if self.at(";") else self.expression()
        self.expect(";")
        return Return(line, value)

    def _raise(self) -> Statement:
        line = self.next().line
        name = None if self.at(";") else self.reference()
        self.expect(";")
        return Raise(line, name)

    def _null(self) -> Statement:
        line = self.next().line
        self.expect(";")
        return Null(line)

    def _sql(self) -> Statement:
        verb = self.here
        tokens = self.until(";")
        self.expect(";")
        return Sql(verb.line, verb.low, tokens)

    def _execute(self) -> Statement:
        line = self.next().line
        self.expect("immediate")
        text = self.expression()
        rest = self.until(";")
        if rest and not rest[0].word("into", "using", "bulk", "returning", "return"):
            raise self.fault(f"'{rest[0].text}' does not belong to execute immediate")
        self.expect(";")
        return Execute(line, text, rest)

    def _cursor_work(self) -> Statement:
        verb = self.next()
        cursor = self.reference()
        rest = self.until(";")
        allowed = {"open": ("for",), "fetch": ("into", "bulk"), "close": ()}[verb.low]
        if rest and not rest[0].word(*allowed):
            raise self.fault(f"'{rest[0].text}' does not belong to {verb.low}")
        if verb.low == "fetch" and not rest:
            raise self.fault("expected into")
        self.expect(";")
        return CursorWork(verb.line, verb.low, cursor, rest)

    def _forall(self) -> Statement:
        line = self.next().line
        variable = self.name("an index")
        self.expect("in")
        header = self.until("insert", "update", "delete", "merge", "execute", "save", ";")
        if self.accept("save"):
            self.expect("exceptions")
        statement = self.statement()
        if not isinstance(statement, Sql):
            raise self.fault("forall takes one insert, update, delete or merge")
        return ForAll(line, variable, header, statement)

    def _block(self) -> Statement:
        line = self.here.line
        declared = self.declarations() if self.accept("declare") else []
        block = self.body(line, declared)
        self.expect(";")
        return block

    def body(self, line: int, declared: list[Declaration]) -> Block:
        """Take ``begin … exception … end [name]`` without the semicolon."""
        self.expect("begin")
        statements = self.statements()
        handlers = self._handlers() if self.accept("exception") else []
        end_line = self.here.line
        self.expect("end")
        end_name = None if self.at(";") else self.name("the name of the unit")
        return Block(line, declared, statements, handlers, end_line, end_name)

    def _handlers(self) -> list[Handler]:
        handlers: list[Handler] = []
        while self.at("when"):
            line = self.next().line
            names = [self._exception_name()]
            while self.accept("or"):
                names.append(self._exception_name())
            self.expect("then")
            if any("others" in handler.names for handler in handlers):
                raise self.fault("a handler after 'when others' is never reached")
            handlers.append(Handler(line, names, self.statements()))
        if not handlers:
            raise self.fault("expected when")
        return handlers

    def _exception_name(self) -> str:
        return self.reference().dotted

    def _goto(self) -> Statement:
        raise self.fault("goto is not used here")

    def _pipe(self) -> Statement:
        line = self.next().line
        self.expect("row")
        arguments = self.arguments()
        self.expect(";")
        return Return(line, arguments[0].value if arguments else Literal(line, "null", ""))


def is_plain(reference: Reference) -> bool:
    """Tell whether the reference is a single name."""
    return len(reference.parts) == 1 and reference.arguments is None


_READERS = {
    "if": StatementParser._if,
    "case": StatementParser._case_statement,
    "loop": StatementParser._plain_loop,
    "while": StatementParser._while,
    "for": StatementParser._for,
    "exit": StatementParser._exit,
    "continue": StatementParser._exit,
    "return": StatementParser._return,
    "raise": StatementParser._raise,
    "null": StatementParser._null,
    "execute": StatementParser._execute,
    "open": StatementParser._cursor_work,
    "fetch": StatementParser._cursor_work,
    "close": StatementParser._cursor_work,
    "forall": StatementParser._forall,
    "declare": StatementParser._block,
    "begin": StatementParser._block,
    "goto": StatementParser._goto,
    "pipe": StatementParser._pipe,
    **dict.fromkeys(SQL_VERBS, StatementParser._sql),
}
