"""An exercise as files: a notebook and a file to fill in, a test that grades it; for the teacher the solution too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from aeexp.errors import UsageError
from aeexp.exercises.laws import find_exercise
from aeexp.files import write_text

TEXTS = Path(__file__).with_name("texts")
GRADE = """from aeexp.exercises import grade

for verdict in grade("{name}", "{name}.py").verdicts:
    print(f"{{verdict.points}}/{{verdict.of}}  {{verdict.law}}  {{verdict.message}}")"""


class Sheet(NamedTuple):
    """The parts of an exercise."""

    text: str
    skeleton: str
    solution: str
    use: str  # what one does with a right solution


def read_sheet(name: str) -> Sheet:
    """Raises UsageError on a name that is no exercise."""
    find_exercise(name)
    text = (TEXTS / f"{name}.txt").read_text(encoding="utf-8")
    intro, *parts = text.split("\n--- ")
    found = dict(part.split("\n", 1) for part in parts)
    return Sheet(intro.strip(), *(f"{found[part].strip()}\n" for part in ("skeleton", "solution", "use")))


def read_test(name: str) -> str:
    """The test that grades an exercise's file."""
    return (TEXTS / "test.py.txt").read_text(encoding="utf-8").format(name=name)


def write_exercise(name: str, folder: Path, teacher: bool = False) -> list[Path]:
    """Notebook, file and test in `folder`/`name`; with `teacher` the solution too, in `folder`/`name`_teacher.

    Returns the paths. Raises UsageError where one of them is there already.
    """
    sheet, place = read_sheet(name), folder / name
    texts = {
        place / f"{name}.ipynb": format_notebook(name, sheet),
        place / f"{name}.py": sheet.skeleton,
        place / f"test_{name}.py": read_test(name),
    }
    if teacher:
        own = folder / f"{name}_teacher"
        texts |= {own / f"{name}.py": sheet.solution, own / f"test_{name}.py": read_test(name)}
    if taken := [path for path in texts if path.exists()]:
        raise UsageError(f"{taken[0]} is there already: nothing is written; take another --folder, or move it away")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return list(texts)


def format_notebook(name: str, sheet: Sheet) -> str:
    """As Jupyter reads it: the text, the file that a cell writes, the grade, and a use of it."""
    cells = [
        _cell("markdown", sheet.text),
        _cell("markdown", f"## Your lines\n\nThe cell writes them into `{name}.py`."),
        _cell("code", f"%%writefile {name}.py\n{sheet.skeleton.rstrip()}"),
        _cell("markdown", "## What the laws say"),
        _cell("code", GRADE.format(name=name)),
        _cell("markdown", "## And what it is good for"),
        _cell("code", f"from {name} import *\n{sheet.use.rstrip()}"),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return json.dumps(
        {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 4}, indent=1,
        ensure_ascii=False,
    )  # fmt: skip


def _cell(kind: str, text: str) -> dict:
    extra = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True), **extra}
