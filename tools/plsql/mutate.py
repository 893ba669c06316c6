"""The mutation run: break one token of a package body, and see whether grammar and checks notice.

A mutant is what a slip of the hand makes: a token left out, two letters swapped, an operator mistyped. What no reading
of the source can know is not in it: another number, another text in quotes, ``<`` for ``>``. Those belong to the
contract tests and to tests/oracle. Positions are drawn in the same way each time, so that a run can be repeated.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tools.plsql.finding import Finding, SourceError
from tools.plsql.grammar import complaints, prepare
from tools.plsql.lexer import END, NUMBER, OP, QUOTED, STRING, WORD, Token, tokenize
from tools.plsql.parse_unit import parse_unit
from tools.plsql.script import Piece
from tools.plsql.suite import CHECKS
from tools.plsql.tree import Unit
from tools.plsql.world import World, read_world

LEAST_CAUGHT = 0.98
_DRAW = 20700

_MISTYPED_TEXT = """
( )  ) (  ; :  := =  => =  = :=  , .  . ,  || |  >= =>  <= =<  <> ><  > >>  < <<  + +,  - -,  * *,  / /,  .. .  % %%
!= =!  ** ***
"""
_MISTYPED = dict(zip(_MISTYPED_TEXT.split()[::2], _MISTYPED_TEXT.split()[1::2], strict=True))
"""What is hit instead of an operator."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One broken token: ``kind`` is deleted or changed, ``now`` what stands there instead."""

    unit: int
    kind: str
    was: Token
    now: str

    def text(self, source: str) -> str:
        """The source with the token broken."""
        return source[: self.was.start] + self.now + source[self.was.end :]


@dataclass(slots=True)
class Result:
    """Who caught how many, and the mutants that nobody caught, as ``path:line: what``."""

    total: int = 0
    caught: dict[str, int] = field(default_factory=dict)
    survivors: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The part that was caught, 0 to 1."""
        return 1 - len(self.survivors) / self.total if self.total else 0.0

    @property
    def is_good(self) -> bool:
        """Tell whether the checks are worth their name."""
        return self.total > 0 and self.share >= LEAST_CAUGHT


def mutants_of(world: World) -> list[Mutant]:
    """Every mutant of every package body and stored subprogram."""
    found: list[Mutant] = []
    for number, unit in enumerate(world.units):
        if unit.kind not in ("package body", "procedure", "function"):
            continue
        for token in tokenize(world.unit_pieces[number].text):
            if token.kind != END:
                found.append(Mutant(number, "deleted", token, ""))
                changed = _mistyped(token)
                if changed is not None:
                    found.append(Mutant(number, "changed", token, changed))
    return found


def _mistyped(token: Token) -> str | None:
    if token.kind in (WORD, QUOTED):
        return _swapped(token.text)
    if token.kind == STRING:
        return token.text[:-1]
    if token.kind == NUMBER:
        return f"l{token.text}"
    return _MISTYPED.get(token.text) if token.kind == OP else None


def _swapped(word: str) -> str:
    """The word with two neighbouring letters changed about, or one letter more where that changes nothing."""
    for at in range(len(word) - 2, -1, -1):
        if word[at].lower() != word[at + 1].lower():
            swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
            if swapped[0].isalpha():
                return swapped
    return word + "x"


def mutation_run(scripts: list[Path], root: Path, samples: int) -> Result:
    """Break ``samples`` tokens, drawn evenly from all units, and count who notices."""
    world = read_world(scripts, root)
    mutants = mutants_of(world)
    drawn = random.Random(_DRAW).sample(mutants, min(samples, len(mutants)))  # noqa: S311 - not for secrets
    known = {finding.message for check in CHECKS.values() for finding in check(world)}
    result = Result(total=len(drawn))
    unnoticed: list[Mutant] = []
    for mutant in sorted(drawn, key=lambda item: (item.unit, item.was.start)):
        noticed = _noticed_by_checks(world, mutant, known)
        if noticed is None:
            unnoticed.append(mutant)
        else:
            result.caught[noticed] = result.caught.get(noticed, 0) + 1
    for mutant, found in zip(unnoticed, complaints([_masked(world, mutant) for mutant in unnoticed]), strict=True):
        if found:
            result.caught["grammar alone"] = result.caught.get("grammar alone", 0) + 1
        else:
            result.survivors.append(_shown(world, mutant))
    return result


def _broken(world: World, mutant: Mutant) -> Piece:
    piece = world.unit_pieces[mutant.unit]
    return replace(piece, text=mutant.text(piece.text))


def _masked(world: World, mutant: Mutant) -> str:
    return prepare(_broken(world, mutant))[0]


def _noticed_by_checks(world: World, mutant: Mutant, known: set[str]) -> str | None:
    """The name of the first check that notices, or None."""
    try:
        unit = parse_unit(_broken(world, mutant))
    except SourceError:
        return "structure"
    if unit.kind == "block":
        return "structure"  # it would create nothing
    changed = _with(world, mutant.unit, unit)
    for name, findings in _reports(changed):
        if any(finding.message not in known for finding in findings):
            return name
    return None


def _with(world: World, number: int, unit: Unit) -> World:
    units = list(world.units)
    was, units[number] = units[number], unit
    objects = [
        replace(item, name=unit.name) if (item.kind, item.name) == (was.kind, was.name) else item
        for item in world.objects
    ]
    return replace(world, units=units, objects=objects)


def _reports(world: World) -> Iterator[tuple[str, list[Finding]]]:
    for name, check in CHECKS.items():
        yield name, check(world)


def _shown(world: World, mutant: Mutant) -> str:
    piece = world.unit_pieces[mutant.unit]
    line = piece.text.count("\n", 0, mutant.was.start)
    source = piece.text.splitlines()[line].strip()
    now = f"'{mutant.was.text}' became '{mutant.now}'" if mutant.now else f"'{mutant.was.text}' left out"
    return f"{piece.path}:{piece.line + line}: {now} in: {source}"


def describe(result: Result) -> str:
    """The result as lines to read, survivors and all."""
    caught = ", ".join(f"{name} {count}" for name, count in sorted(result.caught.items(), key=lambda item: -item[1]))
    lines = [f"survived: {survivor}" for survivor in result.survivors]
    lines.append(f"noticed first by: {caught}")
    lines.append(
        f"{result.total - len(result.survivors)} of {result.total} mutants caught ({result.share:.1%});"
        f" at least {LEAST_CAUGHT:.0%} are wanted"
    )
    return "\n".join(lines)
