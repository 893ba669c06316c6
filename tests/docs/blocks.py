"""Code blocks of the documentation: which there are, and which say that they cannot run here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<kind>[\w.-]*)[^\n]*\n(?P<body>.*?)^(?P=indent)```", re.DOTALL | re.MULTILINE
)
_NOT_RUN = re.compile(r"<!-- not run: (?P<why>[^\n]+?) -->\s*\Z")
_STAYS = re.compile(r"<!-- stays: (?P<words>[^\n]+?) -->\s*\Z")
# An assignment before a command, sudo, a directory: whatever may stand before the name.
_COMMAND = re.compile(r"^(?:\$ )?(?:sudo (?:-\S+ (?:\S+ )?)?)?(?:[A-Z_]+=\S+ )*(?:\S*/)?apex-rtm (?P<rest>.*)$")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    `why_not` is its author's reason not to run it; `stays_with` are the words after which it goes on in the background.
    """

    path: Path
    line: int
    kind: str
    text: str
    why_not: str | None = None
    stays_with: str | None = None

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page that a user reads."""
    return sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def blocks(path: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = path.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        before = text[: found.start()]
        reason, stays = _NOT_RUN.search(before), _STAYS.search(before)
        lines = [line.removeprefix(found["indent"]) for line in found["body"].splitlines()]
        why_not, words = reason and reason["why"], stays and stays["words"]
        yield Block(path, before.count("\n") + 1, found["kind"], "\n".join(lines), why_not, words)


def commands(block: Block) -> Iterator[list[str]]:
    """The words of each call of `apex-rtm` in a block, without what the shell takes: pipes, redirections, comments."""
    for line in block.text.replace("\\\n", " ").splitlines():
        found = _COMMAND.match(line.strip())
        if found is None:
            continue
        lexer = shlex.shlex(found["rest"], posix=True, punctuation_chars=";|&<>")
        lexer.whitespace_split = True
        words: list[str] = []
        try:
            for word in lexer:
                if set(word) <= set(";|&<>") or word.startswith("["):  # the shell's, or a line of usage
                    break
                words.append(word)
        except ValueError:
            continue  # an apostrophe in prose: no command
        yield words
