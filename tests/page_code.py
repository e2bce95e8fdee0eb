"""The page's own JavaScript, run by node: the same files, and no browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aeexp.explorer.blobs import Blobs
from aeexp.explorer.page import HERE
from aeexp.explorer.tracing import build_graph

MAIN = """
const { jobs, blobs, places } = JSON.parse(require("fs").readFileSync(0, "utf-8"));
const arrays = readBlobs(blobs, places);
const results = jobs.map(({ graph, rows }) => {
  const network = compile(graph, arrays);
  return rows.map(row => network(row).map(numbers => Array.from(numbers, String)));
});
console.log(JSON.stringify(results));
"""
Job = tuple[nn.Module, Sequence[Mapping[str, Tensor]]]


def find_node() -> str:
    """node, or the test is skipped."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node on the PATH")
    return node


def evaluate(jobs: Sequence[Job], folder: Path, short: bool = False) -> list[list[list[np.ndarray]]]:
    """What the page's evaluator gives for each module and each row of inputs (1, ...), output by output, flat."""
    blobs = Blobs(short)
    graphs = [build_graph(module, rows[0], blobs) for module, rows in jobs]
    given = [[{name: value.flatten().tolist() for name, value in row.items()} for row in rows] for _, rows in jobs]
    each = [{"graph": graph, "rows": rows} for graph, rows in zip(graphs, given, strict=True)]
    payload = {"jobs": each, "blobs": blobs.encode(), "places": blobs.places}
    code = "".join((HERE / name).read_text("utf-8") for name in ("elements.js", "layers.js", "evaluator.js"))
    script = folder / "evaluate.js"
    script.write_text('"use strict";\n' + code + MAIN, "utf-8")
    command = [find_node(), str(script)]
    done = subprocess.run(command, input=json.dumps(payload), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return [[[np.array(each, np.float64) for each in row] for row in rows] for rows in json.loads(done.stdout)]


def expected(module: nn.Module, row: Mapping[str, Tensor]) -> list[np.ndarray]:
    """PyTorch's."""
    with torch.no_grad():
        return [each.flatten().double().numpy() for each in module(**row)]
