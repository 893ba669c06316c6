"""Where the scripts of db/ are, and what they create."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

_PACKAGE: Final = Path(__file__).resolve().parent.parent
INSTALL: Final = "install.sql"
UNINSTALL: Final = "90_uninstall.sql"
WAKE_QUEUE: Final = "09_rtm_wake_queue.sql"
_CREATED: Final = re.compile(
    r"\bcreate\s+(?:or\s+replace\s+)?(table|view|package\s+body|package|procedure|function|index)\s+(\w+)",
    re.IGNORECASE,
)


class Created(NamedTuple):
    """An object as the data dictionary names it."""

    kind: str
    name: str


def scripts_dir() -> Path:
    """The scripts: in a checkout they are edited in db/; in a wheel they travel inside the package."""
    packaged = _PACKAGE / "db"
    return packaged if packaged.is_dir() else _PACKAGE.parent.parent / "db"


def created_by(files: list[Path]) -> set[Created]:
    """What these files create, but for the JavaScript and what calls it, which only some databases have."""
    found = set()
    for path in files:
        text = path.read_text(encoding="utf-8")
        if re.search(r"\bmle\s+module\b", text, re.IGNORECASE):
            continue
        for kind, name in _CREATED.findall(_without_comments(text)):
            found.add(Created(" ".join(kind.upper().split()), name.upper()))
    return found


def _without_comments(text: str) -> str:
    return re.sub(r"^\s*--.*$", "", text, flags=re.MULTILINE)
