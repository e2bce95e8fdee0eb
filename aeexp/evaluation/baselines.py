"""What the rows of `baseline` in metrics.json are called, wherever a person reads them."""

from __future__ import annotations

NAMES = {
    "pca": "PCA of the same width",
    "raw": "raw input",
    "random": "untrained network",
    "kernel_pca": "kernel PCA",
    "itq": "ITQ",
    "pixelwise": "by single pixels",
}


def describe_row(row: str) -> str:
    """What a person reads for a row."""
    return NAMES.get(row, row.replace("_", " "))
