"""Components of a page, named and set as in Page Designer."""

from __future__ import annotations

from dataclasses import dataclass, field

LISTENER = "Real-Time Messaging \u2013 Listener (DA)"
BROADCAST = "Real-Time Messaging \u2013 Broadcast (DA)"
BROADCAST_PROCESS = "Real-Time Messaging \u2013 Broadcast (Process)"

JAVASCRIPT = "Execute JavaScript Code"
SERVER_CODE = "Execute Server-side Code"
REFRESH = "Refresh"
NATIVE_ACTIONS = (JAVASCRIPT, SERVER_CODE, REFRESH)
EXECUTE_CODE = "Execute Code"


@dataclass(slots=True)
class Item:
    """A page item; ``default`` is shown while session state has no value. ``is_protected``: no browser
    may set it. ``redirects``: a choice opens the page anew with it."""

    name: str
    type: str = "Text Field"
    label: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()
    is_protected: bool = False
    redirects: bool = False


@dataclass(slots=True)
class Region:
    """A region with its HTML (Static Content) or SQL query (Classic Report)."""

    static_id: str
    title: str = ""
    type: str = "Static Content"
    source: str = ""
    items_to_submit: tuple[str, ...] = ()


@dataclass(slots=True)
class Button:
    """A button; ``action`` is "Defined by Dynamic Action" or "Submit Page"."""

    name: str
    label: str = ""
    action: str = "Defined by Dynamic Action"


@dataclass(slots=True)
class Action:
    """A true action: one of NATIVE_ACTIONS or a plug-in's display name, with its settings by prompt."""

    type: str
    settings: dict[str, str] = field(default_factory=dict)
    code: str = ""
    waits_for_result: bool = False
    stops_on_error: bool = True


@dataclass(slots=True)
class DynamicAction:
    """When ``event`` happens to the triggering element, the actions run; Page Load has no triggering element."""

    name: str
    event: str
    actions: list[Action]
    custom_event: str = ""
    button: str = ""
    items: str = ""
    region: str = ""
    javascript_expression: str = ""


@dataclass(slots=True)
class Process:
    """A process: EXECUTE_CODE or a plug-in; ``point`` is "Before Header" or "Processing", which is a submit."""

    name: str
    type: str
    settings: dict[str, str] = field(default_factory=dict)
    code: str = ""
    success_message: str = ""
    point: str = "Processing"


@dataclass(slots=True)
class Page:
    """A page; its components in the order in which they run or are shown."""

    number: int
    title: str = ""
    regions: list[Region] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    buttons: list[Button] = field(default_factory=list)
    dynamic_actions: list[DynamicAction] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    is_public: bool = False

    def item(self, name: str) -> Item | None:
        """The item of this name."""
        return next((item for item in self.items if item.name == name), None)
