"""Write docs/cli.md from the commands themselves.

python -m tools.cli_page            write it
python -m tools.cli_page --check    fail when it is not up to date
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from apex_rtm.cli import main as program
from apex_rtm.settings import Settings

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
NAME: Final = "apex-rtm"
HEAD: Final = f"""<!-- written by tools/cli_page.py, do not edit -->
# Command line

Every command says the same with `--help`. Those that start from the settings of the server take each of them as an
option too ([settings.md](settings.md)); they are not repeated here.

Exit codes: 0 done, 1 the server or the database refused or failed, 2 wrong usage or configuration, 3 not reachable;
`{NAME} doctor` has its own ([doctor.md](doctor.md)).

"""


def page() -> str:
    """Build the page."""
    # With its settings: click keeps the help option that the first context makes, for the whole process.
    context = click.Context(program, info_name=NAME, **program.context_settings)
    return HEAD + "\n".join(_section(NAME, command, inner) for command, inner in _walk(program, context))


def _walk(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from _walk(found, click.Context(found, info_name=name, parent=context))


def _section(root: str, command: click.Command, context: click.Context) -> str:
    path = context.command_path
    level = min(4, 2 + path.removeprefix(root).count(" "))
    prose, example = _split(command.help or "")
    parts = [f"{'#' * level} {path}\n", f"{prose}\n", f"```\n{path} {_usage(command, context)}\n```\n"]
    if example:
        parts.append(f"Example:\n\n```\n{example}\n```\n")
    if isinstance(command, click.Group):
        return "\n".join(parts)
    rows, has_settings = [], False
    for parameter in command.params:
        if not isinstance(parameter, click.Option) or parameter.hidden:
            continue
        if parameter.name in Settings.model_fields and len(parameter.opts) >= 1 and _is_setting(parameter):
            has_settings = True
            continue
        rows.append(f"| {_names(parameter)} | {_text(parameter, context)} |\n")
    if rows:
        parts.append("| option | |\n|---|---|\n" + "".join(rows))
    if has_settings:
        parts.append("And an option for each of the [settings](settings.md) that matter here; `--help` has them.\n")
    return "\n".join(parts)


def _is_setting(option: click.Option) -> bool:
    return "APEX_RTM_" in (option.help or "")


def _usage(command: click.Command, context: click.Context) -> str:
    return " ".join(command.collect_usage_pieces(context))


def _split(help_text: str) -> tuple[str, str]:
    """The sentences, and the example after them without its indent."""
    prose, _, rest = inspect.cleandoc(help_text).partition("\b\n")
    _, _, example = rest.partition("\n")
    return prose.strip(), textwrap.dedent(example).strip()


def _names(option: click.Option) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(click.Context(program))}"
    return ", ".join(f"`{name}{value}`" for name in option.opts)


def _text(option: click.Option, context: click.Context) -> str:
    text = (option.help or "").replace("|", "\\|").rstrip(".")
    shown = option.get_help_extra(context).get("default")
    notes = [text, "may be repeated" if option.multiple and "repeated" not in text else "",
             f"default `{shown}`" if shown else "", "needed" if option.required else ""]  # fmt: skip
    return "; ".join(note for note in notes if note)


def main() -> int:
    """Write or check; return a process exit code."""
    if "--check" in sys.argv[1:]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
            return 0
        print("docs/cli.md is not up to date: python -m tools.cli_page", file=sys.stderr)
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
