"""What a docstring of the package, or of a user's own part, says, read from the source: nothing is imported."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from aeexp.reference.folders import by_folders, find_root

OWN = Path(__file__).resolve().parents[1]  # of the package

_NAME = r"(?:van den |van |De |Le )?[A-Z][\w’'-]+"
_PLACE = r"(?:sections?|equations?|appendix|algorithm|chapter|table|NeurIPS)"
CITED = re.compile(
    rf"({_NAME}(?: et al\.| and {_NAME}(?: {_NAME})?)?) ((?:18|19|20)\d\d)"
    rf"((?:, {_PLACE} \w[\w.]*(?<!\.)(?: (?:to|and) (?:{_PLACE} )?\d[\w.]*(?<!\.))?)*)"
)
SENTENCE = re.compile(r"(.+?(?<!\bal)(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)[.!?])(?=\s|$)", re.DOTALL)
PART = re.compile(r"^(?=@|class |def )", re.MULTILINE)  # where a class or function begins, or its decorator
NAMED = re.compile(r"(?:class|def) +(\w+)")
HEAD = re.compile(r'.*?:[^\S\n]*\n\s+r?"""(?:[^\\]|\\.)*?"""', re.DOTALL)  # down to the end of the first docstring


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
    """Of the class or function that a `_target_` names; empty where that is torch's, or not to be found."""
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
    if module.partition(".")[0] in ("torch", ""):  # torch documents itself
        return ""
    parts = _list_parts(_read_exports(module).get(name, module)).get(name, [])
    return next((text for part in reversed(parts) if (text := _parse_docstring(part)) is not None), "")


@by_folders
def _list_parts(module: str) -> dict[str, list[str]]:
    """By name, the source of each class and function of a module, and what looks like one within a long text."""
    parts: dict[str, list[str]] = {}
    for part in PART.split(_read_source(module)):
        if found := NAMED.match(part):
            parts.setdefault(found[1], []).append(part)
    return parts


@cache
def _parse_docstring(part: str) -> str | None:
    """Of a class or function; None of what is none. It is parsed down to the end of its first docstring: to parse all
    that stands below is half of what `--help` would take."""
    head = HEAD.match(part)
    for text in ([head[0]] if head else []) + [part]:
        try:
            node = ast.parse(text).body[0]
        except (SyntaxError, ValueError):
            continue
        assert isinstance(node, ast.ClassDef | ast.FunctionDef)  # it begins so
        return ast.get_docstring(node) or ""
    return None


@by_folders
def _read_exports(package: str) -> dict[str, str]:
    """name -> module of what a package's __init__ takes from its modules."""
    nodes = [node for node in _parse_module(package).body if isinstance(node, ast.ImportFrom)]
    found: dict[str, str] = {}
    for node in nodes:
        above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
        module = ".".join([*above, *([node.module] if node.module else [])])
        found |= {alias.asname or alias.name: module for alias in node.names}
    return found


def _parse_module(module: str) -> ast.Module:
    """Empty where there is no such source, or none that this Python reads."""
    try:
        return ast.parse(_read_source(module))
    except (ValueError, SyntaxError):
        return ast.Module([], [])


def _read_source(module: str) -> str:
    """Empty where there is none."""
    package, *names = module.split(".")
    root = OWN if package == OWN.name else find_root(package)
    place = (root or OWN / "-").joinpath(*names)
    path = place if place.is_file() else place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


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
