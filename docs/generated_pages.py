"""Pages of the site that are made from other files: the repository's own, and the API reference.

A hook of mkdocs, named in `mkdocs.yml`. The API has a page for each package and module directly
in `evfer/`, so that a room that is renamed or added needs no line here.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "evfer"
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
NOT_API = {"__init__", "__main__", "cli"}  # the command line has --help


def rooms() -> list[str]:
    """Name the packages and modules directly in `evfer/`."""
    modules = [path.stem for path in PACKAGE.glob("*.py")]
    packages = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    return sorted({*modules, *packages} - NOT_API)


def api_page(room: str) -> str:
    """Write the page of a room: what it exports or, where that is nothing, its modules."""
    init = PACKAGE / room / "__init__.py"
    if not init.is_file() or "__all__" in init.read_text(encoding="utf-8"):
        return f"::: evfer.{room}\n"
    modules = [path.stem for path in sorted(init.parent.glob("*.py")) if path != init]
    names = [f"::: evfer.{room}.{m}\n    options: {{heading_level: 2}}\n" for m in modules]
    return "\n".join([f"# evfer.{room}\n", *names])


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Append the API reference to the navigation."""
    config.nav = [*(config.nav or []), {"API reference": [{r: f"api/{r}.md"} for r in rooms()]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    for source, uri in PAGES.items():
        if (ROOT / source).is_file():
            text = (ROOT / source).read_text(encoding="utf-8")
            files.append(File.generated(config, uri, content=relink(text)))
    for room in rooms():
        files.append(File.generated(config, f"api/{room}.md", content=api_page(room)))
    return files


def relink(text: str) -> str:
    """Give links of a file in the repository's root the sense that they have in the site."""
    text = re.sub(r"\]\(docs/", "](", text)
    for source, uri in PAGES.items():
        text = text.replace(f"]({source}", f"]({uri}")
    return text
