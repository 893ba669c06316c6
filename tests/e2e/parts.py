"""Dynamic actions that many tests need, and how tests look at tabs with them."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page as Tab

from tests.support.apex.door import Apex
from tests.support.apex.page import BROADCAST, JAVASCRIPT, LISTENER, Action, DynamicAction

_REMEMBER = """(names) => {
    window.remembered = [];
    for (const name of names) {
        apex.jQuery(document).on(name, (event, data) => window.remembered.push({ name, data }));
    }
}"""


def listener(channel: str, **settings: str) -> DynamicAction:
    """A Listener on Page Load."""
    return DynamicAction(f"Listen to {channel}", "Page Load", [Action(LISTENER, {"Channel": channel, **settings})])


def broadcast(channel: str, **settings: str) -> Action:
    """The true action Broadcast."""
    return Action(BROADCAST, {"Channel": channel, **settings})


def on_click(button: str, *actions: Action) -> DynamicAction:
    """Actions for the click on a button."""
    return DynamicAction(f"Click on {button}", "Click", list(actions), button=button)


def on_message(name: str, code: str, event: str = "rtm-message") -> DynamicAction:
    """JavaScript for an event on the document."""
    actions = [Action(JAVASCRIPT, code=code)]
    return DynamicAction(name, "Custom", actions, custom_event=event, javascript_expression="document")


async def listening(apex: Apex, channel: str, *tabs: tuple[Tab, str], page: int = 10) -> None:
    """Open a page in each tab as its user, and wait until all of them listen."""
    for tab, user in tabs:
        await tab.goto(apex.link(page, apex.login(user)))
    await apex.heard(channel, *(user for _, user in tabs))


async def remember(tab: Tab, *names: str) -> None:
    """Remember these events of the document, as dynamic actions hear them."""
    await tab.evaluate(_REMEMBER, list(names))


async def events_of(tab: Tab) -> list[dict[str, Any]]:
    """What was remembered: ``name`` and ``data``, in the order of its coming."""
    found: list[dict[str, Any]] = await tab.evaluate("window.remembered")
    return found
