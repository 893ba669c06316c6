"""Write ``catalogue.json``: what our scripts use of the packages that Oracle and APEX supply, with the source of each.

    python -m tools.plsql.gather SIGNATURES.json ...

The input files hold whole packages, in the shape that ``_entry`` reads. Only what the scripts name is taken over, so
that the catalogue can be read, and checked by hand against the documentation. What those files lack stands in
``known_signatures.json``, with its source.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.plsql.lexer import QUOTED, STRING, WORD, tokenize
from tools.plsql.script import COMMAND, MLE, read_script

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CATALOGUE = HERE / "catalogue.json"
KNOWN = HERE / "known_signatures.json"
SUFFIXES = (".sql", ".pks", ".pkb")
ABOUT = "Written by 'python -m tools.plsql.gather', do not edit: what our scripts use of the supplied packages."


@dataclass(slots=True)
class Used:
    """What the scripts mention: single names, and pairs joined by a dot."""

    names: set[str] = field(default_factory=set)
    pairs: set[tuple[str, str]] = field(default_factory=set)


def used_in(paths: list[Path]) -> Used:
    """Every name that the scripts mention, in code and inside strings (jobs and dynamic calls name things there)."""
    used = Used()
    for path in paths:
        for piece in read_script(path, ROOT).pieces:
            if piece.kind in (COMMAND, MLE):
                continue
            for token in tokenize(piece.text):
                if token.kind in (WORD, QUOTED):
                    used.names.add(token.low)
                elif token.kind == STRING:
                    used.names.update(_NAME.findall(token.text.lower()))
            used.pairs.update(_PAIR.findall(piece.text.lower()))
    return used


_NAME = re.compile(r"[a-z][a-z0-9_$#]*")
_PAIR = re.compile(r"\b([a-z][a-z0-9_$#]*)\.([a-z][a-z0-9_$#]*)")


def _entry(package: str, facts: dict[str, Any], source: str, used: Used) -> dict[str, Any]:
    """One package or object type, cut down to what is used."""
    subprograms = facts.get("subprograms", [])
    # A method stands behind a variable, whose name says nothing of its type.
    is_type = any("scope" in item for item in subprograms) or package in facts.get("types", {})

    def wanted(member: str) -> bool:
        return member in used.names if is_type else (package, member) in used.pairs

    entry: dict[str, Any] = {"source": facts.get("source", source), "known": facts.get("confidence", "read")}
    if "inherits" in facts:
        entry["inherits"] = facts["inherits"]
    entry["subprograms"] = [
        {key: value for key, value in subprogram.items() if key != "source"}
        for subprogram in subprograms
        if wanted(subprogram["name"]) and not subprogram.get("internal")
    ]
    for key in ("constants", "exceptions"):
        entry[key] = sorted(item for item in facts.get(key, []) if wanted(item))
    for key in ("records", "types"):
        entry[key] = {item: shape for item, shape in sorted(facts.get(key, {}).items()) if wanted(item)}
    for subprogram in entry["subprograms"]:  # types that only a signature names
        for type_name in [subprogram.get("returns"), *(item["type"] for item in subprogram["params"])]:
            for key in ("records", "types"):
                if type_name in facts.get(key, {}):
                    entry[key][type_name] = facts[key][type_name]
    return {key: value for key, value in entry.items() if value not in ([], {})}


def gather(files: list[Path], scripts: list[Path]) -> dict[str, Any]:
    """The catalogue for ``scripts`` out of the signature ``files``."""
    used = used_in(scripts)
    packages: dict[str, Any] = {}
    for file in files:
        facts = json.loads(file.read_text(encoding="utf-8"))
        about = str(facts.pop("_about", "")).split(". ")[0]
        wanted = {name for name in facts if name in used.names and name != "sql_functions"}
        wanted |= {facts[name]["inherits"] for name in wanted if "inherits" in facts[name]}
        for name in sorted(wanted):
            packages[name] = _entry(name, facts[name], about, used)
    return {"about": ABOUT, "packages": dict(sorted(packages.items()))}


def text_of(catalogue: dict[str, Any]) -> str:
    """The catalogue as JSON with one line for each subprogram, so that a change of one reads as a change of one."""
    lines = ["{", f' "about": {json.dumps(catalogue["about"])},', ' "packages": {']
    for name, entry in catalogue["packages"].items():
        lines.append(f"  {json.dumps(name)}: {{")
        for key, value in entry.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                rows = ",\n".join(f"    {json.dumps(row)}" for row in value)
                lines.append(f"   {json.dumps(key)}: [\n{rows}\n   ],")
            else:
                lines.append(f"   {json.dumps(key)}: {json.dumps(value)},")
        lines[-1] = lines[-1].rstrip(",")
        lines.append("  },")
    lines[-1] = lines[-1].rstrip(",")
    return "\n".join([*lines, " }", "}", ""])


def main(arguments: list[str]) -> int:
    """Rewrite the catalogue; returns the exit code."""
    if not arguments or "--help" in arguments:
        print(__doc__)
        return 2
    folders = (ROOT / "db", ROOT / "tests" / "oracle" / "utplsql")
    scripts = sorted(path for folder in folders for path in folder.rglob("*.*") if path.suffix in SUFFIXES)
    catalogue = gather([*(Path(argument) for argument in arguments), KNOWN], scripts)
    CATALOGUE.write_text(text_of(catalogue), encoding="utf-8")
    print(f"{CATALOGUE.relative_to(ROOT)}: {len(catalogue['packages'])} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
