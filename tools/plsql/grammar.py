"""The grammar gate: every unit of every script through the published PL/SQL grammar."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tools.plsql.finding import Finding, SourceError
from tools.plsql.mask import mask
from tools.plsql.parse_unit import parse_unit
from tools.plsql.script import COMMAND, MLE, PLSQL, SQL, Piece

ROOT = Path(__file__).resolve().parents[2]
GATE = Path(__file__).with_name("grammar.cjs")

TIMEOUT_S = 540
_MLE_DDL = re.compile(r"(create(\s+or\s+replace)?|drop)\s+mle\s", re.IGNORECASE)


class GateMissingError(RuntimeError):
    """Node.js or the grammar package is not installed; says what to run."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What the grammar has against a text, by line (from 1) and column (from 0) in that text."""

    line: int
    column: int
    message: str


def complaints(texts: list[str]) -> list[list[Complaint]]:
    """What the grammar says to each text, in one Node process.

    Raises:
        GateMissingError: there is no Node.js, or ``npm ci`` has not been run.
        RuntimeError: the gate itself failed; its message is in the text.
    """
    node = shutil.which("node")
    if node is None or not (ROOT / "node_modules" / "antlr4ts-sql").is_dir():
        raise GateMissingError("the grammar gate needs Node.js 18+ and 'npm ci' in the project's root")
    question = json.dumps([{"id": number, "text": text} for number, text in enumerate(texts)])
    done = subprocess.run(
        [node, str(GATE)],
        input=question,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the grammar gate failed: {done.stderr.strip()[-2000:]}")
    answers = json.loads(done.stdout)
    return [[Complaint(**error) for error in answer["errors"]] for answer in answers]


def prepare(piece: Piece) -> tuple[str, Counter[str]]:
    """The text of a piece as the grammar shall see it, and the masks used on it."""
    unit = None
    if piece.kind == PLSQL:
        try:
            unit = parse_unit(piece)
        except SourceError:
            unit = None  # reported by the structure check; the grammar may add to it
    try:
        masked = mask(piece.text, unit)
    except SourceError:
        return piece.text, Counter()
    # The text of an execute immediate has no semicolon, and the grammar wants one.
    ends = piece.kind != SQL or masked.text.rstrip().endswith(";")
    return masked.text if ends else f"{masked.text};", masked.counts


def is_for_grammar(piece: Piece) -> bool:
    """Tell SQL and PL/SQL from commands, JavaScript and DDL of MLE, which check_mle reads."""
    if piece.kind in (COMMAND, MLE):
        return False
    return _MLE_DDL.match(piece.text) is None


def check_grammar(pieces: list[Piece]) -> tuple[list[Finding], Counter[str]]:
    """Findings of the grammar in ``pieces``, and the masks used altogether."""
    asked = [piece for piece in pieces if is_for_grammar(piece)]
    texts: list[str] = []
    counts: Counter[str] = Counter()
    for piece in asked:
        text, used = prepare(piece)
        texts.append(text)
        counts.update(used)
    findings = []
    for piece, text, found in zip(asked, texts, complaints(texts), strict=True):
        for complaint in found[:3]:  # what follows the first errors of a unit is an echo of them
            near = _near(text, complaint)
            message = f"{complaint.message.strip()} at '{near}'" if near else complaint.message.strip()
            findings.append(Finding(piece.path, piece.line + complaint.line - 1, "grammar", message))
    return findings, counts


def _near(text: str, complaint: Complaint) -> str:
    lines = text.splitlines()
    if not 0 < complaint.line <= len(lines):
        return ""
    return lines[complaint.line - 1][complaint.column :].strip()[:40]
