"""Everything the scripts create, read once: what the checks look things up in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tools.plsql.catalogue import Catalogue, read_catalogue
from tools.plsql.finding import Finding, SourceError
from tools.plsql.lexer import QUOTED, STRING, WORD, Token, string_value, tokenize
from tools.plsql.parse_unit import parse_unit
from tools.plsql.script import MLE, PLSQL, SQL, Piece, read_script
from tools.plsql.stream import Stream, text_of
from tools.plsql.tree import Binary, Execute, Expression, Literal, Reference, Subprogram, Unit, Variable, walk

UNINSTALL = "90_uninstall.sql"

_CONSTRAINTS = ("constraint", "primary", "unique", "foreign", "check")


@dataclass(frozen=True, slots=True)
class Created:
    """An object that a script creates or drops; ``kind`` is the Oracle object type in lower case."""

    kind: str
    name: str
    path: str
    line: int


@dataclass(slots=True)
class Table:
    """A table or view with its columns and their types (None: the type is not known, as in views)."""

    name: str
    columns: dict[str, str | None]


@dataclass(slots=True)
class World:
    """The scripts, their units as trees, and the names they give."""

    root: Path
    pieces: list[Piece] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    unit_pieces: list[Piece] = field(default_factory=list)
    """``unit_pieces[i]`` is the source of ``units[i]``."""
    tables: dict[str, Table] = field(default_factory=dict)
    objects: list[Created] = field(default_factory=list)
    catalogue: Catalogue = field(default_factory=read_catalogue)

    def unit(self, kind: str, name: str) -> Unit | None:
        """The unit of this kind and name."""
        return next((unit for unit in self.units if unit.kind == kind and unit.name == name), None)

    def standalone(self, name: str) -> Subprogram | None:
        """The procedure or function of this name outside packages."""
        for unit in self.units:
            if unit.kind in ("procedure", "function") and unit.name == name:
                declaration = unit.declarations[0]
                return declaration if isinstance(declaration, Subprogram) else None
        return None

    def created(self, kind: str, name: str) -> bool:
        """Tell whether the scripts create this object."""
        return any(item.kind == kind and item.name == name for item in self.objects)

    def is_uninstall(self, path: str) -> bool:
        """Tell whether this path is the script that removes everything."""
        return Path(path).name == UNINSTALL


def read_world(scripts: list[Path], root: Path) -> World:
    """Read ``scripts`` (each with what it includes, every file once) into a world."""
    world = World(root)
    seen: set[tuple[str, int]] = set()
    for path in scripts:
        script = read_script(path, root)
        world.findings.extend(item for item in script.findings if item not in world.findings)
        world.files.extend(file for file in script.files if file not in world.files)
        for piece in script.pieces:
            if (piece.path, piece.line) not in seen:
                seen.add((piece.path, piece.line))
                world.pieces.append(piece)
    for piece in list(world.pieces):
        _read_piece(world, piece)
    return world


def roots(folder: Path) -> list[Path]:
    """The scripts in ``folder`` that a person runs: ``install.sql`` first, and those that nothing includes.

    The numbered scripts count too: each must work when it is run alone.
    """
    found = sorted(folder.glob("*.sql"))
    return sorted(found, key=lambda path: (path.name != "install.sql", path.name))


def _read_piece(world: World, piece: Piece) -> None:
    try:
        if piece.kind == PLSQL:
            unit = parse_unit(piece)
            world.units.append(unit)
            world.unit_pieces.append(piece)
            if unit.kind != "block":
                world.objects.append(Created(unit.kind, unit.name, unit.path, unit.line))
            for text, line in dynamic_texts(unit):
                kind = PLSQL if re.match(r"\s*(begin|declare)\b", text, re.IGNORECASE) else SQL
                inner = Piece(kind, text, piece.path, line)
                world.pieces.append(inner)
                _read_piece(world, inner)
        elif piece.kind == MLE:
            tokens = tokenize(piece.text.split("\n", 1)[0], piece.line)
            at = next(i for i, token in enumerate(tokens) if token.word("module"))
            world.objects.append(Created("mle module", tokens[at + 1].low, piece.path, piece.line))
        elif piece.kind == SQL:
            _read_sql(world, piece.text, piece.path, piece.line)
    except SourceError as error:
        world.findings.append(Finding(piece.path, error.line, "structure", error.message))


def dynamic_texts(unit: Unit) -> list[tuple[str, int]]:
    """The text of every ``execute immediate`` that is known before it runs, with its line."""
    constants = {
        node.name: constant_text(node.default)
        for node in walk(unit)
        if isinstance(node, Variable) and node.constant and node.default is not None
    }
    texts = []
    for node in walk(unit):
        if isinstance(node, Execute):
            text = constant_text(node.statement)
            if text is None and isinstance(node.statement, Reference):
                text = constants.get(node.statement.dotted)
            if text is not None:
                texts.append((text, node.line))
    return texts


def constant_text(expression: Expression) -> str | None:
    """The value of a string made of literals only, or None."""
    if isinstance(expression, Literal) and expression.kind == "string":
        return expression.value
    if isinstance(expression, Binary) and expression.operator == "||":
        left, right = constant_text(expression.left), constant_text(expression.right)
        return None if left is None or right is None else left + right
    return None


def _read_sql(world: World, text: str, path: str, line: int) -> None:
    stream = Stream(tokenize(text, line))
    if not stream.accept("create"):
        return
    if stream.accept("or"):
        stream.expect("replace")
    while stream.at_any("global", "temporary", "private", "unique", "bitmap", "force", "editionable", "public"):
        stream.next()
    stream.accept("no", "force")
    kind = stream.next().low
    if kind == "mle" and stream.at_any("env", "module"):
        kind = f"mle {stream.next().low}"
    elif kind not in ("table", "view", "index", "sequence", "synonym", "type", "role", "context"):
        return
    stream.accept("if", "not", "exists")
    name = stream.name()
    if stream.accept("."):
        name = stream.name()
    world.objects.append(Created(kind, name, path, line))
    if kind == "table" and stream.at("("):
        world.tables[name] = Table(name, _columns(stream.parenthesized()))
    elif kind == "view":
        world.tables[name] = Table(name, dict.fromkeys(_view_columns(stream)))


def _columns(tokens: list[Token]) -> dict[str, str | None]:
    columns: dict[str, str | None] = {}
    for item in split_commas(tokens):
        if item and item[0].kind in (WORD, QUOTED) and not item[0].word(*_CONSTRAINTS):
            columns[item[0].low] = _column_type(item[1:])
    return columns


def _column_type(tokens: list[Token]) -> str | None:
    if not tokens:
        return None
    end = 1
    if len(tokens) > 1 and tokens[1].op("("):
        end = next(i for i, token in enumerate(tokens) if token.op(")")) + 1
    while end < len(tokens) and tokens[end].word("with", "local", "time", "zone"):
        end += 1
    return text_of(tokens[:end])


def split_commas(tokens: list[Token]) -> list[list[Token]]:
    """Cut a list at its commas outside parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += 1 if token.op("(") else -1 if token.op(")") else 0
        if depth == 0 and token.op(","):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _view_columns(stream: Stream) -> list[str]:
    if stream.at("("):
        return [item[0].low for item in split_commas(stream.parenthesized()) if item]
    stream.until("as")
    stream.next()
    rest = stream.tokens[stream.place :]
    return select_names(rest) or []


def select_names(tokens: list[Token]) -> list[str] | None:
    """The names of the columns that a query gives, or None where it does not tell them (``*``, ``with``)."""
    stream = Stream(tokens)
    if not stream.accept("select"):
        return None
    try:
        items = split_commas(stream.until("from"))
    except SourceError:
        return None  # the statement is broken; the grammar says so
    if any(not item or item[-1].kind not in (WORD, QUOTED) for item in items):
        return None
    return [item[-1].low for item in items]


def strings_in(piece: Piece) -> list[tuple[str, int]]:
    """The value of every string in a piece, with its line."""
    tokens = tokenize(piece.text, piece.line)
    return [(string_value(token), token.line) for token in tokens if token.kind == STRING]
