"""The notebook in examples/ runs from its first cell to its last, and each shows something."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys

import pytest
from commands import ROOT

NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
# What a kernel does with the cells: one namespace, and the last expression of each is shown by its richest form.
KERNEL = """
import ast, json, sys
def _execute(cell):
    space = vars(sys.modules["__main__"])
    tree, value = ast.parse(cell), None
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), space)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), space)
    kinds = list(value._repr_mimebundle_()) if "_repr_mimebundle_" in dir(value) else []
    if "_repr_html_" in dir(value) and value._repr_html_():
        kinds.append("text/html")
    print(json.dumps(kinds), flush=True)
for _cell in json.loads(sys.stdin.read()):
    _execute(_cell)
"""


def sources() -> list[str]:
    return ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


def shorten(cell: str) -> str:
    few = {'epochs=30"': 'epochs=2", "plot=[scatter,manifold]"', 'epochs=15"': 'epochs=1"'}
    for long, short in {**few, "digits.images": "digits.images[:150]", "digits.target": "digits.target[:150]"}.items():
        cell = cell.replace(long, short)
    return cell


def test_it_is_kept_without_outputs_and_is_short():
    assert len(CELLS) <= 12 and all(not cell.get("outputs") for cell in CELLS)
    assert "aeexp.fit(" in sources()[1] and any("aeexp.sweep(" in cell for cell in sources())
    for cell in sources():
        ast.parse(cell)


@pytest.mark.slow
def test_all_of_its_cells_run_and_show_what_they_say(tmp_path):
    """Quickly: few rows, few epochs. A backend as a notebook sets it is in the environment."""
    quick = [shorten(cell) for cell in sources()]
    (tmp_path / "own_inline.py").write_text("", encoding="utf-8")
    path = f"{ROOT}{os.pathsep}{tmp_path}"
    env = {**os.environ, "PYTHONPATH": path, "MPLBACKEND": "module://own_inline", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", KERNEL],
        input=json.dumps(quick), cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(shown) == len(quick)
    picture, table = ["image/png", "text/plain"], ["text/html"]
    assert shown == [[], table, picture, picture, table, table, picture, table, table]


@pytest.mark.slow
def test_a_kernel_of_jupyter_runs_it(tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat: pip install nbclient ipykernel")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient: pip install nbclient ipykernel")
    pytest.importorskip("ipykernel", reason="needs ipykernel: pip install nbclient ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))
