"""What TensorBoard's projector is told beside codes: a view whose points are coloured by label.

Its configuration names no colour, only a file of bookmarks. One of them is a click away; no key of the configuration
opens it unasked.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from aeexp import files

BOOKMARKS = "bookmarks.json"


def add_bookmark(folder: Path, tensor: str, column: str) -> None:
    """Give the embedding `tensor` of `folder`/projector_config.pbtxt a view coloured by a column of its metadata."""
    config = folder / "projector_config.pbtxt"
    blocks = files.read_text(config, files.MOST_YAML).split("embeddings {")
    name = f'tensor_name: "{tensor}"'
    # a second try of the same step adds its block to the first one's: the last one counts
    kept = [block for block in blocks[:-1] if name not in block] + blocks[-1:]
    place = blocks[-1].split('metadata_path: "')[1].split('"')[0].rpartition("/")[0]
    files.write_json(folder / place / BOOKMARKS, [view(column)])
    kept[-1] = kept[-1].replace(name, f'{name}\n  bookmarks_path: "{place}/{BOOKMARKS}"')
    files.write_text(config, "embeddings {".join(kept))


def view(column: str) -> dict[str, object]:
    """The first three principal components as the projector saves a view; it fails on one that lacks a key."""
    sides = ("XLeft", "XRight", "YUp", "YDown")
    empty = {f"custom{side}{what}": value for side in sides for what, value in (("Text", ""), ("Regex", False))}
    return {
        "label": f"coloured by {column}", "isSelected": False, "selectedColorOptionName": column,
        "selectedLabelOption": column, "forceCategoricalColoring": False, "selectedProjection": "pca",
        "pcaComponentDimensions": [0, 1, 2], "projections": [], "selectedPoints": [], "tSNEIteration": 0,
        "tSNEPerplexity": 25, "tSNELearningRate": 10, "tSNEis3d": True, "umapIs3d": True, "umapNeighbors": 15,
        "umapMinDist": 0.1, "customSelectedSearchByMetadataOption": column, **empty,
    }  # fmt: skip


def write_cell(value: Any) -> str:
    """Tabs and line ends would shift the projector's metadata table."""
    text = f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else str(value)
    return " ".join(text.split()) or "-"
