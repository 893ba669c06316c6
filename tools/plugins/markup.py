"""The Markdown of help texts to the HTML that App Builder shows.

Only what help texts use: paragraphs, lists with ``-``, ``**strong**``, ``*emphasis*`` and code between backticks.
Everything else stays as it is written; text is escaped.
"""

from __future__ import annotations

import html
import re

_CODE = re.compile(r"`([^`]+)`")
_STRONG = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")
_EMPHASIS = re.compile(r"(?<!\*)\*(?=[^\s*])([^*]+?)(?<=\S)\*(?!\*)")


def to_html(markdown: str) -> str:
    """HTML with one block on a line."""
    blocks = [block for block in re.split(r"\n\s*\n", markdown.strip()) if block.strip()]
    return "\n".join(_block(block.strip()) for block in blocks)


def _block(block: str) -> str:
    if block.startswith("- "):
        items = [_inline(" ".join(item.split())) for item in re.split(r"\n- |\A- ", block) if item]
        return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"
    return f"<p>{_inline(' '.join(block.split()))}</p>"


def _inline(text: str) -> str:
    parts = _CODE.split(text)
    return "".join(_code(part) if at % 2 else _emphasized(part) for at, part in enumerate(parts))


def _code(text: str) -> str:
    return f"<code>{html.escape(text, quote=False)}</code>"


def _emphasized(text: str) -> str:
    escaped = html.escape(text, quote=False)
    return _EMPHASIS.sub(r"<em>\1</em>", _STRONG.sub(r"<strong>\1</strong>", escaped))
