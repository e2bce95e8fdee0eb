"""What a docstring of the package says, read from the source: nothing is imported."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]  # of the package

_NAME = r"(?:van den |van |De |Le )?[A-Z][\w’'-]+"
_PLACE = r"(?:sections?|equations?|appendix|algorithm|chapter|table|NeurIPS)"
CITED = re.compile(
    rf"({_NAME}(?: et al\.| and {_NAME}(?: {_NAME})?)?) ((?:18|19|20)\d\d)"
    rf"((?:, {_PLACE} \w[\w.]*(?<!\.)(?: (?:to|and) (?:{_PLACE} )?\d[\w.]*(?<!\.))?)*)"
)
SENTENCE = re.compile(r"(.+?(?<!\bal)(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)[.!?])(?=\s|$)", re.DOTALL)


class Docstring(NamedTuple):
    """A docstring: the paragraphs that begin with `Formula:` and `Look at:` apart from the rest."""

    text: str
    formula: str
    look: str

    @property
    def first(self) -> str:
        """The first sentence of the text."""
        return first_sentence(self.text)


def read_docstring(target: str | None) -> Docstring:
    """Of the class or function that a `_target_` names; empty where that is not one of this package."""
    formula = look = ""
    rest = []
    for part in re.split(r"\n\s*\n", _find_docstring(target) if target else ""):
        if part.startswith("Formula:"):
            formula = part.removeprefix("Formula:").strip()
        elif part.startswith("Look at:"):
            look = " ".join(part.removeprefix("Look at:").split())
        else:
            rest.append(part)
    return Docstring("\n\n".join(rest).strip(), formula, look)


def _find_docstring(target: str) -> str:
    module, _, name = target.rpartition(".")
    if not module.startswith("aeexp."):
        return ""
    return _read_docstrings(_read_exports(module).get(name, module)).get(name, "")


@cache
def _read_docstrings(module: str) -> dict[str, str]:
    """Of the classes and functions of a module."""
    nodes = [node for node in _parse_module(module).body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return {node.name: ast.get_docstring(node) or "" for node in nodes}


@cache
def _read_exports(package: str) -> dict[str, str]:
    """name -> module of what a package's __init__ takes from its modules."""
    nodes = [node for node in _parse_module(package).body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: node.module or "" for node in nodes for alias in node.names}


def _parse_module(module: str) -> ast.Module:
    place = ROOT.joinpath(*module.split(".")[1:])
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def first_sentence(text: str) -> str:
    """Of the first paragraph, on one line."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    match = SENTENCE.match(paragraph)
    return match[1] if match else paragraph


def find_papers(text: str) -> list[str]:
    """Papers in the order in which they are named: `Kingma et al. 2014, equation 7`; the fuller of two mentions."""
    papers: dict[str, str] = {}
    for names, year, place in CITED.findall(" ".join(text.split())):
        key = f"{names} {year}"
        papers[key] = max(papers.get(key, ""), key + place, key=len)
    return list(papers.values())
