"""The tutorials are stored as they were executed, and run from the first cell to the last."""

from __future__ import annotations

import ast
import json
import re

import pytest
from commands import ROOT
from composing import compose_as_typed
from notebook_pages import convert
from settled import settle

from aeexp.runs.config import check

FOLDER = ROOT / "docs" / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
INDEX = (FOLDER / "index.md").read_text(encoding="utf-8")


def read_cells(path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def is_python(source: str) -> bool:
    return not source.startswith(("!", "%"))


def test_there_are_nine_and_the_index_has_them_in_order():
    assert re.findall(r"\(([\w-]+\.ipynb)\)", INDEX) == [path.name for path in NOTEBOOKS]
    assert len(NOTEBOOKS) == 9


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_with_its_outputs_and_nothing_of_the_machine(path):
    text, cells = path.read_text(encoding="utf-8"), read_cells(path)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code and all(cell["execution_count"] for cell in code)
    outputs = [output for cell in code for output in cell["outputs"]]
    assert outputs and all(output["output_type"] != "error" for output in outputs)
    assert len(text) < 1_500_000 and not re.search(r"/work/|/home/|site-packages|Traceback", text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_figure_and_table_is_spoken_of(path):
    """Text stands before the first cell of code, and no three cells of code follow each other."""
    kinds = "".join(cell["cell_type"][0] for cell in read_cells(path))
    assert kinds.startswith("mm") or kinds.startswith("mc")
    assert "ccc" not in kinds and kinds.endswith("m")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_code_is_python_whose_words_compose(path):
    """Those of calls that are written out; what a cell keeps in names of its own the execution shows."""
    for cell in read_cells(path):
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and is_python(source):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "aeexp.fit":
                    words = [part.value for part in node.args if isinstance(part, ast.Constant)]
                    if not any(word.startswith("+") or "broken" in word for word in words):
                        check(compose_as_typed(*settle(words)))


def test_a_page_of_a_notebook_has_its_texts_code_and_pictures():
    cells = [
        {"cell_type": "markdown", "source": ["# A\n", "b"]},
        {"cell_type": "code", "source": ["x = 1"], "outputs": [
            {"output_type": "stream", "text": ["\x1b[1ma < b\x1b[0m\n"]},
            {"output_type": "display_data", "data": {"image/png": "aGk=", "text/plain": "<Figure>"}},
            {"output_type": "execute_result", "data": {"text/html": ["<style>x</style><p>\n", "\n c</p>"]}}]},
    ]  # fmt: skip
    page, pictures = convert(json.dumps({"cells": cells}), "n")
    assert page.startswith("# A\nb\n\n```python\nx = 1\n```\n")
    assert "<pre>a &lt; b</pre>" in page and "(n-1.png)" in page and pictures == {"n-1.png": b"hi"}
    assert '<div class="output"><p>c</p></div>' in page and "<style>" not in page
    cells[1]["outputs"] = [{"output_type": "error", "ename": "E", "evalue": "wrong"}]
    with pytest.raises(ValueError, match="n was stored with an error: E: wrong"):
        convert(json.dumps({"cells": cells}), "n")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_the_first_cell_to_the_last(path, tmp_path):
    pytest.importorskip("nbclient", reason="needs nbclient: pip install 'aeexp[docs]'")
    pytest.importorskip("ipykernel", reason="needs ipykernel: pip install 'aeexp[docs]'")
    from execute_tutorials import execute

    stored = [[output["output_type"] for output in cell.get("outputs", [])] for cell in read_cells(path)]
    notebook = execute(path, tmp_path)
    kinds = [[output["output_type"] for output in cell.get("outputs", [])] for cell in notebook.cells]
    shown = {"display_data", "execute_result"}  # what goes to stderr may differ
    assert [[kind for kind in each if kind in shown] for each in kinds] == [
        [kind for kind in each if kind in shown] for each in stored
    ]
