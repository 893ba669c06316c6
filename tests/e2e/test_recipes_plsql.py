"""The SQL and PL/SQL in the documentation for APEX developers goes through the checks that db/ goes through."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tools.plsql.finding import Finding
from tools.plsql.grammar import ROOT, check_grammar
from tools.plsql.suite import CHECKS
from tools.plsql.world import read_world, roots

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


def findings_in(texts: dict[str, str], folder: Path) -> list[Finding]:
    """What the checks say of documents, with db/ beside them; in one run, since that takes seconds."""
    scripts = [folder / f"{name}.sql" for name in texts]
    for script, text in zip(scripts, texts.values(), strict=True):
        script.write_text(script_of(text), encoding="utf-8")
    paths = {script.as_posix() for script in scripts}
    world = read_world([*roots(ROOT / "db"), *scripts], ROOT)
    grammar, _ = check_grammar([piece for piece in world.pieces if piece.path in paths])
    found = [*world.findings, *grammar, *(finding for name in NAMES for finding in CHECKS[name](world))]
    return [finding for finding in found if finding.path in paths and NOT_IN_CATALOGUE not in finding.message]


def test_code_in_the_documentation_passes_the_checks(tmp_path: Path) -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in DOCUMENTS}
    assert sum(text.count("```sql") for text in texts.values()) > 15
    assert findings_in(texts, tmp_path) == []


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


def test_faults_in_the_documentation_are_seen(tmp_path: Path) -> None:
    texts = {name: (RECIPES / f"{name}.md").read_text(encoding="utf-8") for name, *_ in FAULTS}
    for name, old, new, _ in FAULTS:
        assert old in texts[name], old
        texts[name] = texts[name].replace(old, new, 1)
    found = findings_in(texts, tmp_path)
    for name, _, new, words in FAULTS:
        hits = [str(item) for item in found if Path(item.path).stem == name and words in str(item)]
        assert hits, f"{new} was not seen: {found}"
