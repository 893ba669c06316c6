"""What an import file creates: plug-in, attributes, values, events and embedded files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tools.plugins.statement import Source, Statement, read_source

SHARED = "wwv_flow_imp_shared."
TABLE = "wwv_flow_imp.g_varchar2_table"
EMPTY_TABLE = "wwv_flow_imp.empty_varchar2_table"


@dataclass(slots=True)
class HexLine:
    """A line of an embedded file with its index in the table."""

    index: int | None
    text: str
    line: int


@dataclass(slots=True)
class Embedded:
    """An embedded file: the call that creates it and the table as it stands at that moment."""

    call: Statement
    lines: list[HexLine]
    is_reset: bool
    """Whether the table was emptied since the last file."""

    @property
    def name(self) -> str:
        """The file's name."""
        value = self.call.value("p_file_name")
        return value.text if value else ""

    def content(self) -> bytes:
        """The bytes of the file.

        Raises:
            ValueError: the lines are not hexadecimal.
        """
        return bytes.fromhex("".join(line.text for line in self.lines))


@dataclass(slots=True)
class Export:
    """The calls of an import file by what they create."""

    source: Source
    calls: list[Statement] = field(default_factory=list)
    plugins: list[Statement] = field(default_factory=list)
    attributes: list[Statement] = field(default_factory=list)
    values: list[Statement] = field(default_factory=list)
    events: list[Statement] = field(default_factory=list)
    files: list[Embedded] = field(default_factory=list)

    def text(self, call: Statement, name: str) -> str:
        """The text of an argument, empty where there is none."""
        value = call.value(name)
        return value.text if value else ""

    def number(self, call: Statement, name: str) -> int | None:
        """The number, id or truth of an argument."""
        value = call.value(name)
        return value.number if value else None

    def values_of(self, attribute: Statement) -> list[Statement]:
        """The list values of an attribute."""
        own_id = self.number(attribute, "p_id")
        return [value for value in self.values if self.number(value, "p_plugin_attribute_id") == own_id]


def read_export(path: Path) -> Export:
    """Read an import file."""
    export = Export(read_source(path))
    table: list[HexLine] = []
    is_reset = False
    lists = {
        "create_plugin": export.plugins,
        "create_plugin_attribute": export.attributes,
        "create_plugin_attr_value": export.values,
        "create_plugin_event": export.events,
    }
    for statement in export.source.statements:
        if statement.is_assignment:
            if statement.target == TABLE and statement.index is None:
                table, is_reset = [], statement.arguments[0].value.text.replace(" ", "") == EMPTY_TABLE
            elif statement.target == TABLE:
                table.append(HexLine(statement.index, statement.arguments[0].value.text, statement.line))
            continue
        export.calls.append(statement)
        created = statement.target.removeprefix(SHARED)
        if created in lists:
            lists[created].append(statement)
        elif created == "create_plugin_file":
            export.files.append(Embedded(statement, list(table), is_reset))
            is_reset = False
    return export


def embedded_files(path: Path) -> dict[str, bytes]:
    """The files that an import file holds, byte for byte as the browser will get them.

    Raises:
        ValueError: a file is not hexadecimal, or its name would leave a folder that it is written to.
    """
    files: dict[str, bytes] = {}
    for file in read_export(path).files:
        if not file.name or file.name.startswith("/") or ".." in file.name.split("/"):
            raise ValueError(f"'{file.name}' is no name for a file")
        files[file.name] = file.content()
    return files
