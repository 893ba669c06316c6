"""Help texts become HTML that App Builder shows, and nothing of them becomes markup by accident."""

from __future__ import annotations

import pytest
from tools.plugins.markup import to_html


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("one\ntwo", "<p>one two</p>"),
        ("one\n\ntwo\n", "<p>one</p>\n<p>two</p>"),
        ("- one\n  more\n- two", "<ul><li>one more</li><li>two</li></ul>"),
        ("a `b*c*` *d* **e f**", "<p>a <code>b*c*</code> <em>d</em> <strong>e f</strong></p>"),
        ("2 * 3 * 4", "<p>2 * 3 * 4</p>"),
        ("", ""),
    ],
)
def test_markdown(markdown: str, html: str) -> None:
    assert to_html(markdown) == html


def test_angle_brackets_and_ampersands_are_text() -> None:
    """`&APP_USER.` bare in a help text would be replaced by the developer's own name in App Builder."""
    assert (
        to_html("`<script>` & `&APP_USER.`") == "<p><code>&lt;script&gt;</code> &amp; <code>&amp;APP_USER.</code></p>"
    )
