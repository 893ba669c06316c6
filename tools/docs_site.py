"""Build the documentation as a site, in four parts: python -m tools.docs_site

The pages are copied to .work/docs, because the site has less than the repository: a link that leads out of docs/
becomes the name of the file. Everything that is broken then, a page, an anchor, an entry of the navigation, fails the
build.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
WORK: Final = ROOT / ".work" / "docs"
HOME: Final = "index.md"

# Part -> pages in their order; a name that ends in / is all pages of a folder. Nothing has to exist yet.
PARTS: Final[Mapping[str, Sequence[str]]] = {
    "Tutorial": ["tutorial.md", "apex.md"],
    "How-to": [
        "deploy.md", "oracle.md", "relay.md", "console.md", "metrics.md", "doctor.md", "scale.md", "recipes/",
    ],
    "Reference": ["protocol.md", "settings.md", "cli.md"],
    "Explanation": ["reliability.md", "hardening.md", "performance.md", "performance/", "conformance.md", "adr/"],
}  # fmt: skip
# A page that nobody has given a place must be found all the same.
ELSE: Final = "How-to"

_PALETTES: Final = (("light", "default", "moon", "Dark"), ("dark", "slate", "sun", "Light"))
_LINK: Final = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>\.\./[^)#\s]+)(?:#[^)]*)?\)")


def navigation(docs: Path = DOCS) -> list[dict[str, Any]]:
    """The pages that are there, in four parts."""
    left = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")} - {HOME}
    parts: dict[str, list[Any]] = {}
    for part, names in PARTS.items():
        parts[part] = []
        for name in names:
            found = sorted(page for page in left if page == name or (name.endswith("/") and page.startswith(name)))
            left -= set(found)
            if name.endswith("/") and found:
                parts[part].append({_title(name): sorted(found, key=lambda page: (not page.endswith(HOME), page))})
            else:
                parts[part].extend(found)
    parts[ELSE].extend(sorted(left))
    return [{"Start": HOME}, *({part: pages} for part, pages in parts.items() if pages)]


def _title(folder: str) -> str:
    return {"adr/": "Decisions"}.get(folder, folder.rstrip("/").capitalize())


def without_links_out(markdown: str, page: Path) -> str:
    """Name a file of the repository instead of linking to it: it is not in the site. `page` is the text's own file."""

    def replace(found: re.Match[str]) -> str:
        target = (page.parent / found["target"]).resolve()
        if target.is_relative_to(DOCS) or not target.is_relative_to(ROOT) or not target.exists():
            return found[0]  # a page, or a broken link, which the build refuses
        name = target.relative_to(ROOT).as_posix()
        return found["text"] if name in found["text"] else f"{found['text']} (`{name}`)"

    return _LINK.sub(replace, markdown)


def configuration(docs: Path = DOCS) -> dict[str, Any]:
    """What the generator is told."""
    return {
        "site_name": "apex-rtm",
        "site_description": "Real-time messages for Oracle APEX",
        "use_directory_urls": False,  # the site can be opened from a disk, without a server
        "docs_dir": "pages",
        "site_dir": "site",
        "nav": navigation(docs),
        "theme": {
            "font": False,  # nothing is fetched from elsewhere
            "features": ["navigation.tabs", "navigation.sections", "navigation.top", "content.code.copy"],
            "palette": [
                {"media": f"(prefers-color-scheme: {name})", "scheme": scheme,
                 "toggle": {"icon": f"lucide/{icon}", "name": other}}
                for name, scheme, icon, other in _PALETTES
            ],
        },
        "plugins": ["search"],
        "markdown_extensions": [
            "attr_list", "tables", {"toc": {"permalink": True}}, "pymdownx.highlight", "pymdownx.superfences",
        ],
    }  # fmt: skip


def build(docs: Path = DOCS, work: Path = WORK) -> int:
    """Make the site in `work`/site; return the generator's exit code."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(docs, work / "pages")
    for page in (work / "pages").rglob("*.md"):
        source = docs / page.relative_to(work / "pages")
        page.write_text(without_links_out(source.read_text(encoding="utf-8"), source), encoding="utf-8")
    config = work / "mkdocs.yml"
    config.write_text(json.dumps(configuration(docs), indent=1), encoding="utf-8")  # JSON is YAML
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", str(config)]
    return subprocess.run(command, check=False).returncode


def main() -> int:
    """Build it; return a process exit code."""
    code = build()
    if code == 0:
        print(f"{WORK.relative_to(ROOT)}/site/index.html")
    return code


if __name__ == "__main__":
    sys.exit(main())
