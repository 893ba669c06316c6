"""The SQL and PL/SQL in the documentation for APEX developers goes through the checks that db/ goes through."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tools.plsql.finding import Finding
from tools.plsql.grammar import ROOT, check_grammar
from tools.plsql.suite import CHECKS
from tools.plsql.world import World, read_world, roots

from tests.support.apex.recipe import RECIPES

pytestmark = pytest.mark.slow

# Not "uninstall": what a recipe creates is not dropped by this project. Not "errors": these blocks log nothing.
NAMES = ("signatures", "ends", "sizes", "names", "naming", "secrets")
DOCUMENTS = [*sorted(RECIPES.glob("*.md")), ROOT / "docs" / "apex.md"]
_BLOCK = re.compile(r"```sql\n(.*?)```", re.DOTALL)


def script_of(text: str) -> str:
    """Every sql block as SQL*Plus would run it: statements as they are, code of Page Designer as anonymous blocks."""
    return "set define off\n" + "\n".join(_runnable(block) for block in _BLOCK.findall(text))


def _runnable(block: str) -> str:
    if re.match(r"\s*(create|insert)\b", block):
        return block
    if re.match(r"\s*select\b", block):
        return f"{block.rstrip()};\n"
    block = re.sub(r"^@.*$", "", block, flags=re.MULTILINE).rstrip().removesuffix("/")
    if re.match(r"\s*(begin|declare)\b", block):
        return f"{block}\n/\n"
    return f"begin\n{block}end;\n/\n"


# Of the import of plug-ins with SQLcl: the catalogue holds what db/ calls.
NOT_IN_CATALOGUE = "apex_application_install"


def texts_of(names: list[str]) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in DOCUMENTS if path.stem in names}


def findings_in(*folders: tuple[Path, dict[str, str]]) -> list[list[Finding]]:
    """What the checks say of documents, with db/ beside them; one run of the grammar, which is slow to start."""
    worlds = [_world(folder, texts) for folder, texts in folders]
    own = [[piece for piece in world.pieces if piece.path.startswith(f"{folder}/")] for folder, _, world in worlds]
    grammar, _ = check_grammar([piece for pieces in own for piece in pieces])
    found = [[*world.findings, *grammar, *_checked(world)] for _, _, world in worlds]
    return [
        [item for item in items if item.path.startswith(f"{folder}/") and NOT_IN_CATALOGUE not in item.message]
        for (folder, _), items in zip(folders, found, strict=True)
    ]


def _world(folder: Path, texts: dict[str, str]) -> tuple[Path, dict[str, str], World]:
    folder.mkdir()
    scripts = [folder / f"{name}.sql" for name in texts]
    for script, text in zip(scripts, texts.values(), strict=True):
        script.write_text(script_of(text), encoding="utf-8")
    return folder, texts, read_world([*roots(ROOT / "db"), *scripts], ROOT)


def _checked(world: World) -> list[Finding]:
    return [finding for name in NAMES for finding in CHECKS[name](world)]


# Where, what stands there, what is planted, and words of what has to be said of it.
FAULTS = [
    ("job-progress", "p_run_id => p_run_id, p_status => 'DONE'", "p_run => p_run_id, p_status => 'DONE'", "p_run"),
    ("job-progress", "websocket_api.broadcast_item(", "websocket_api.broadcast(", "broadcast"),
    ("job-progress", "  end tell;", "  end told;", "told"),
    ("job-progress", "insert into job_run (started_by)", "insert into job_run (startet_by)", "startet_by"),
    ("job-progress", "job_action =>", "job_code =>", "job_code"),
    ("chat", "end if;", "endif;", "grammar"),
    ("rooms", "(p_room => nvl(", "(p_raum => nvl(", "p_raum"),
    ("region-refresh", "order by name, id", "order name, id", "grammar"),
    (
        "user-messages",
        "emit_to_user(p_user_name => upper(:P20_USER)",
        "emit_to_user(p_user => upper(:P20_USER)",
        "p_user",
    ),
    ("channels", "'app_100:page_10', p_payload", "'app_100:page_10' p_payload", "grammar"),
]


def test_code_in_the_documentation_passes_the_checks_and_faults_do_not(tmp_path: Path) -> None:
    clean = texts_of([path.stem for path in DOCUMENTS])
    assert sum(text.count("```sql") for text in clean.values()) > 15
    planted = texts_of([name for name, *_ in FAULTS])
    for name, old, new, _ in FAULTS:
        assert old in planted[name], old
        planted[name] = planted[name].replace(old, new, 1)

    found, found_planted = findings_in((tmp_path / "clean", clean), (tmp_path / "planted", planted))

    assert found == []
    for name, _, new, words in FAULTS:
        hits = [str(item) for item in found_planted if Path(item.path).stem == name and words in str(item)]
        assert hits, f"{new} was not seen: {found_planted}"
