"""What strangers say, made fit to be shown and copied: servers, certificates and databases choose their words freely.

A remedy is pasted into a shell, often as root. An address that a certificate or a redirect names must stay one word
there, and nothing that is printed may turn into a command of the terminal.
"""

from __future__ import annotations

import shlex
import unicodedata
from typing import Final

_LINE_ENDS: Final = "\t\n\r"
_UNSEEN: Final = ("Cc", "Cf", "Zl", "Zp")


def word(text: str) -> str:
    """The text as one word of a shell command; as it is where that makes no difference."""
    return shlex.quote(visible(text))


def visible(text: str) -> str:
    r"""On one line, with controls and characters that turn the direction of text written out (`\u202e`)."""
    return "".join(map(_seen, text))


def _seen(one: str) -> str:
    if one in _LINE_ENDS:
        return " "
    return f"\\u{ord(one):04x}" if unicodedata.category(one) in _UNSEEN else one
