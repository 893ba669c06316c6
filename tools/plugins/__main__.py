"""Make, check and read the import files of the APEX plug-ins; see ``--help``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from apex_rtm import __version__
from tools.plugins.export import export_text
from tools.plugins.lint import lint
from tools.plugins.manifest import (
    CLIENT,
    EXPORTS,
    MINIFIED,
    ROOT,
    SOURCES,
    ManifestError,
    Plugin,
    read_plugins,
    sources_of,
)
from tools.plugins.minify import is_current, minify
from tools.plugins.model import embedded_files
from tools.plugins.picture import property_editor
from tools.plugins.tables import with_tables

DOCUMENT = ROOT / "docs" / "apex.md"
PICTURES = ROOT / "docs" / "images" / "plugins"


def outputs(plugins: list[Plugin], document: str) -> dict[Path, str]:
    """Every file that ``build`` writes, with its content."""
    made = {EXPORTS / plugin.export: export_text(plugin, __version__) for plugin in plugins}
    made[DOCUMENT] = with_tables(document, plugins)
    made |= {PICTURES / f"{plugin.folder.replace('_', '-')}.svg": property_editor(plugin) for plugin in plugins}
    return made


def make_small() -> None:
    """Write the small scripts that are not up to date."""
    for name, readable in sources_of(SOURCES, CLIENT).items():
        path = MINIFIED / f"{name}.min.js"
        if not is_current(path, readable):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(minify(readable))
            print(f"written: {path.relative_to(ROOT)}")


def build(*, is_check: bool) -> int:
    """Write what is not up to date, or only say so; returns the exit code."""
    if not is_check:
        make_small()
    made = outputs(read_plugins(), DOCUMENT.read_text(encoding="utf-8"))
    stale = [path for path, text in made.items() if not path.is_file() or path.read_bytes() != text.encode()]
    strangers = [path for path in EXPORTS.glob("*.sql") if path not in made]
    for path in strangers:
        print(f"{path.relative_to(ROOT)}: no source makes this file", file=sys.stderr)
    for path in stale:
        if is_check:
            print(f"{path.relative_to(ROOT)} is stale: run python -m tools.plugins build", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(made[path].encode())
            print(f"written: {path.relative_to(ROOT)}")
    findings = [finding for path in made if path.suffix == ".sql" and path.is_file() for finding in lint(path)]
    for finding in findings:
        print(f"{EXPORTS.name}/{finding}", file=sys.stderr)
    return 1 if strangers or findings or (stale and is_check) else 0


def check_exports(paths: list[Path]) -> int:
    """Lint import files; returns the exit code."""
    found = [finding for path in paths for finding in lint(path)]
    for finding in found:
        print(finding)
    print(f"{len(paths)} file(s), {len(found)} finding(s)")
    return 1 if found else 0


def decode(path: Path, folder: Path) -> int:
    """Write what an import file embeds; returns the exit code."""
    for name, content in embedded_files(path).items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        print(f"{target}: {len(content)} bytes")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.plugins", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="write apex-plugins/*.sql and the tables of docs/apex.md")
    building.add_argument("--check", action="store_true", help="write nothing; exit 1 where something is stale")
    linting = commands.add_parser("lint", help="check import files against APEX 23.1")
    linting.add_argument("files", nargs="*", type=Path, help="import files; without any: apex-plugins/*.sql")
    decoding = commands.add_parser("decode", help="write the files that an import file embeds")
    decoding.add_argument("file", type=Path)
    decoding.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.command == "build":
            return build(is_check=options.check)
        if options.command == "lint":
            return check_exports(options.files or sorted(EXPORTS.glob("*.sql")))
        return decode(options.file, options.folder)
    except (ManifestError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
