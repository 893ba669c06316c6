"""Run the suite, write docs/conformance.md, and fail when a case fails that is not documented.

    python -m tools.conformance

Exit codes: 0 all as documented · 1 a case failed · 2 the suite cannot be run here, and why.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

from tools.conformance.echo import serve_edge
from tools.conformance.report import Outcome, judge, render, says_the_same
from tools.conformance.suite import Missing, find_python27, install, run

_ROOT: Final = Path(__file__).resolve().parent.parent.parent
_WORK: Final = _ROOT / ".work" / "conformance"
_PAGE: Final = _ROOT / "docs" / "conformance.md"


async def _measure() -> dict[str, dict[str, Any]]:
    python27 = find_python27()
    wstest = await asyncio.to_thread(install, python27, _WORK / "python2.7")
    async with serve_edge() as port:
        return await run(python27, wstest, port, _WORK / "report")


def main() -> int:
    """Run everything; return a process exit code."""
    try:
        cases = asyncio.run(_measure())
    except Missing as error:
        print(f"conformance: not run: {error}", file=sys.stderr)
        return 2
    outcome: Outcome = judge(cases)
    page = render(outcome)
    if not _PAGE.is_file() or not says_the_same(_PAGE.read_text(encoding="utf-8"), page):
        _PAGE.write_text(page, encoding="utf-8")
    for line in outcome.lines:
        print(line)
    print(f"figures: {_PAGE.relative_to(_ROOT)}; every frame: {(_WORK / 'report').relative_to(_ROOT)}/index.html")
    return 1 if outcome.unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
