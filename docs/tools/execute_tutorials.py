"""Executes the tutorials anew and stores them with their outputs: `python docs/tools/execute_tutorials.py [NAME...]`.

Each runs in an empty folder. Pictures are stored as the documentation's are, and nothing of the machine is kept.
"""

from __future__ import annotations

import base64
import io
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

TUTORIALS = Path(__file__).resolve().parents[1] / "tutorials"
WIDTH, COLOURS = 900, 255


def execute(path: Path, folder: Path) -> NotebookNode:
    """The notebook, executed in `folder`. Raises CellExecutionError."""
    notebook = nbformat.read(path, as_version=4)
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    kernel = {**os.environ, "PATH": commands, "PYTHONWARNINGS": "ignore:IProgress"}
    kernel.pop("MPLBACKEND", None)  # a kernel shows figures inline, unless who starts it has chosen otherwise
    client = NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute(env=kernel)
    return notebook


def shrink(picture: str) -> str:
    """A PNG in base64, of few colours and no wider than a page."""
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        drawn = image.convert("RGB")
    if drawn.width > WIDTH:
        drawn = drawn.resize((WIDTH, round(drawn.height * WIDTH / drawn.width)), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    drawn.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode()


def tidy(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Without times and places of this machine; `folder` is where it was executed."""
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            output.get("metadata", {}).clear()
            if "image/png" in output.get("data", {}):
                output.data = {"image/png": shrink(output.data["image/png"])}
            for place, text in (("data", output.get("data", {})), ("text", output)):
                for key in ("text/plain", "text/html") if place == "data" else ("text",):
                    if key in text:
                        text[key] = text[key].replace(f"{folder}/", "")
    return notebook


def main() -> None:
    """The command."""
    for path in sorted(TUTORIALS.glob("*.ipynb")):
        if not sys.argv[1:] or path.stem in sys.argv[1:]:
            print(path.stem, flush=True)
            with tempfile.TemporaryDirectory() as folder:
                nbformat.write(tidy(execute(path, Path(folder)), Path(folder)), path)


if __name__ == "__main__":
    main()
