"""Hooks of mkdocs: pages that are made when the site is built, and the order of all pages by their folders.

A new file in a folder of docs/ is in the site without a word here; ORDER says only which come first.
"""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
import command_pages  # noqa: E402
import notebook_pages  # noqa: E402
import number_pages  # noqa: E402
import option_pages  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {"Tutorials": "tutorials", "How-to": "how-to", "Reference": "reference", "Python API": "api",
            "Results": "", "Design": "design"}  # fmt: skip
ORDER = {
    "how-to": ["compose", "python", "your-data", "sweeps", "compare-runs", "read-the-numbers", "diagnoses",
               "measure-again", "start-from-a-run", "use-a-finished-run", "your-own-part", "search", "cluster",
               "lecture"],
    "reference": ["index", "metrics-json", "run-folder", "commands"],
    "": ["results"],
}  # fmt: skip


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages, and sets the navigation."""
    pages = option_pages.build_pages() | {
        "reference/metrics-json.md": number_pages.build_page(),
        "reference/commands.md": command_pages.build_page(),
        "design/contributing.md": read_contributing(),
    }
    for path in sorted((ROOT / "docs" / "tutorials").glob("*.ipynb")):
        page, pictures = notebook_pages.convert(path.read_text(encoding="utf-8"), path.stem)
        pages[f"tutorials/{path.stem}.md"] = page
        notebook = files.get_file_from_path(f"tutorials/{path.name}")
        if notebook is not None:
            files.remove(notebook)
        for name, content in pictures.items():
            files.append(File.generated(config, f"tutorials/{name}", content=content))
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    config.nav = build_nav([file.src_uri for file in files.documentation_pages()])
    logging.getLogger("mkdocs").info("%d pages were made of conf/, docstrings and notebooks", len(pages))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links between notebooks, which lead from file to file in Jupyter, lead from page to page here."""
    return re.sub(r"\]\(([\w./-]+)\.ipynb\)", r"](\1.md)", markdown)


def read_contributing() -> str:
    """CONTRIBUTING.md as a page of the site."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.sub(r"\]\(docs/([^)]+)\)", r"](../\1)", text)


def build_nav(paths: list[str]) -> list[Any]:
    """Home, then a section for each folder: pages in their order, folders below them."""
    return [{"Home": "index.md"}, *({title: list_section(folder, paths)} for title, folder in SECTIONS.items())]


def list_section(folder: str, paths: list[str]) -> list[Any]:
    """The pages of a folder, those of ORDER first, and what lies below it as sections of their own."""
    head = f"{folder}/" if folder else ""
    inside = [path.removeprefix(head) for path in paths if path.startswith(head)]
    if not folder:  # the pages at the top but Home
        inside = [path for path in inside if "/" not in path and path != "index.md"]
    order = ORDER.get(folder, ["index"])
    names = sorted({path.partition("/")[0] for path in inside}, key=lambda name: _rank(name, order))
    found: list[Any] = []
    for name in names:
        if name.endswith(".md"):
            found.append(f"{head}{name}")
        else:
            found.append({name: list_section(f"{head}{name}", paths)})
    return found


def _rank(name: str, order: list[str]) -> tuple[int, str]:
    stem = name.removesuffix(".md")
    if folder := not name.endswith(".md"):  # groups in the order of config.yaml
        groups = [group.partition("/")[0] for group in option_pages.list_groups()]
        return len(order) + folder + (groups.index(stem) if stem in groups else len(groups)), name
    return order.index(stem) if stem in order else len(order), name
