"""Keys and tokens that a person keeps in files: the wrong file is told, and nothing of what it holds is repeated."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from apex_rtm.errors import ConfigurationError

_MAX_BYTES: Final = 65_536  # of one line that has to fit into a header or a frame
_CONFIGURATION: Final = re.compile(
    r"^\s*(?:export\s+)?(?:APEX_RTM_\w+|api_keys?|jwt_secret|\w+_key|host|port)\s*=|^\s*\[", re.I | re.M
)
_FROM_CONFIGURATION: Final = {
    "key": "it looks like a configuration: write one of its api_keys, without the quotes, into a file of its own",
    "token": "it looks like a configuration: apex-rtm token mint USER CHANNEL --config {path} > token makes a token",
}


def read_credential(path: Path, option: str, noun: str) -> str:
    """The one line of a file that `option` names; `noun` is key or token. A byte order mark and spaces around it go.

    Raises ConfigurationError, without a part of the file: it may be the configuration, with every secret in it, and
    a key that goes into a header as it is comes out again in the words of the HTTP library.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError([f"{option} {path}: cannot be read: {error.strerror}"]) from None
    text = _decode(raw)
    if text is None:
        raise ConfigurationError([f"{option} {path}: is not UTF-8 text; PowerShell writes it with -Encoding ascii"])
    check_credential(text.strip(), f"{option} {path}", noun, path)
    return text.strip()


def check_credential(text: str, where: str, noun: str, path: Path | None = None) -> None:
    """Raise ConfigurationError unless `text` is one line of printable ASCII, without a part of it."""
    hint = ""
    if _CONFIGURATION.search(text):
        hint = "; " + _FROM_CONFIGURATION[noun].format(path=path or "FILE")
    if hint or not text or len(text) > _MAX_BYTES or not (text.isascii() and text.isprintable()):
        raise ConfigurationError([f"{where}: must hold one line, the {noun} alone{hint}"])


def _decode(raw: bytes) -> str | None:
    """Read text as Windows saves it, too; None for UTF-16, which PowerShell's `>` writes, and for what is no text."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
