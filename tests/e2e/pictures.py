"""Pictures of the documentation, drawn by the tests that show what is in them."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.async_api import Page as Tab

PICTURES = Path(__file__).parents[2] / "docs" / "images"


async def take(tab: Tab, name: str, *, width: int = 900, height: int = 420) -> None:
    """Write docs/images/<name>.png, if APEX_RTM_PICTURES is set; pictures differ from machine to machine by fonts."""
    if "APEX_RTM_PICTURES" not in os.environ:
        return
    await tab.set_viewport_size({"width": width, "height": height})
    await tab.evaluate("Promise.all(document.getAnimations().map((one) => one.finished))")
    await tab.screenshot(path=PICTURES / f"{name}.png")
