"""The readable source of a plug-in: ``plugin.toml`` and ``help.md``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.plugins.minify import is_current

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "apex-plugins" / "src"
EXPORTS = ROOT / "apex-plugins"
CLIENT = ROOT / "client-js"
MINIFIED = ROOT / "apex-plugins" / "js"


class ManifestError(Exception):
    """A source cannot be used; the text names file, place and fault."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a list. ``display`` is what Page Designer shows, ``value`` what pages store."""

    display: str
    value: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Dependency:
    """Shows an attribute only while attribute ``on`` of the same scope meets the condition."""

    on: int
    condition: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute; ``sequence`` is its number for ever, its place in the list its place in Page Designer."""

    sequence: int
    prompt: str
    type: str
    help: str
    examples: str
    scope: str = "COMPONENT"
    required: bool = False
    default: str | None = None
    common: bool = True
    wizard: bool = True
    translatable: bool = False
    max_length: int | None = None
    unit: str | None = None
    depends: Dependency | None = None
    values: tuple[Choice, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """An event that dynamic actions can react to."""

    name: str
    display_name: str
    help: str


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """A member of the settings object that the browser gets."""

    key: str
    type: str
    origin: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Script:
    """A file for browsers: its sources one after the other, and the same without what only people need.

    A page in debug mode gets the readable one (``#MIN#`` in its address); a ``lazy`` one is loaded by the others.
    """

    name: str
    readable: bytes
    minified: bytes
    lazy: bool = False


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in; its ``scripts`` are in loading order."""

    folder: str
    name: str
    type: str
    display_name: str
    export: str
    help: str
    category: str | None = None
    render: str | None = None
    ajax: str | None = None
    execution: str | None = None
    component_types: tuple[str, ...] = ()
    standard_attributes: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    events: tuple[Event, ...] = ()
    config: tuple[ConfigKey, ...] = ()
    scripts: tuple[Script, ...] = ()

    @property
    def files(self) -> dict[str, bytes]:
        """What the import file embeds, by name."""
        return {
            f"{script.name}{suffix}.js": content
            for script in self.scripts
            for suffix, content in (("", script.readable), (".min", script.minified))
        }

    @property
    def urls(self) -> list[str]:
        """What a page with the plug-in loads, in this order."""
        return [f"#PLUGIN_FILES#{script.name}#MIN#.js" for script in self.scripts if not script.lazy]


def read_plugins(sources: Path = SOURCES, client: Path = CLIENT, minified: Path = MINIFIED) -> list[Plugin]:
    """Read every plug-in under ``sources``, by folder name; embedded files come from ``client`` and ``minified``.

    Raises:
        ManifestError: a member is missing, unknown or of the wrong type, or a file is not there or not up to date.
    """
    return [read_plugin(path.parent, client, minified) for path in sorted(sources.glob("*/plugin.toml"))]


def read_plugin(folder: Path, client: Path = CLIENT, minified: Path = MINIFIED) -> Plugin:
    """Read one plug-in.

    Raises:
        ManifestError: as ``read_plugins``.
    """
    path = folder / "plugin.toml"
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        content["attributes"] = tuple(_attribute(item) for item in content.get("attributes", []))
        content["events"] = tuple(Event(**item) for item in content.get("events", []))
        content["config"] = tuple(_config_key(key, item) for key, item in content.get("config", {}).items())
        content["scripts"] = tuple(_script(client, minified, **item) for item in content.get("scripts", []))
        for key in ("component_types", "standard_attributes"):
            content[key] = tuple(content.get(key, []))
        return Plugin(folder=folder.name, help=(folder / "help.md").read_text(encoding="utf-8"), **content)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ManifestError(f"{folder.name}/plugin.toml: {error}") from error


def _attribute(item: dict[str, Any]) -> Attribute:
    depends = item.pop("depends", None)
    values = tuple(Choice(**value) for value in item.pop("values", []))
    try:
        return Attribute(**item, depends=Dependency(**depends) if depends else None, values=values)
    except TypeError as error:
        raise ManifestError(f"attribute {item.get('prompt', '?')}: {error}") from error


def sources_of(sources: Path, client: Path) -> dict[str, bytes]:
    """The readable content of every script, by name."""
    tables = [tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(sources.glob("*/plugin.toml"))]
    scripts = [script for table in tables for script in table.get("scripts", [])]
    return {script["name"]: _readable(client, script["sources"]) for script in scripts}


def _readable(client: Path, sources: list[str]) -> bytes:
    return b"".join((client / source).read_bytes() for source in sources)


def _script(client: Path, minified: Path, *, name: str, sources: list[str], lazy: bool = False) -> Script:
    readable = _readable(client, sources)
    path = minified / f"{name}.min.js"
    if not is_current(path, readable):
        raise ManifestError(f"{path.name} is not made of these sources: run python -m tools.plugins build")
    return Script(name, readable, path.read_bytes(), lazy)


def _config_key(key: str, item: dict[str, str]) -> ConfigKey:
    return ConfigKey(key, item["type"], item["from"], item["meaning"])
