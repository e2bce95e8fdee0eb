"""What the rows of `baseline` in metrics.json are called, wherever a person reads them.

The row `pca` is the PCA that can say as much of a row as the run's code, and the run's metrics.json names it
(`baseline_names`), as "PCA, width 16" or "PCA in 24 bits"; a run of an older version has one of the same width.
"""

from __future__ import annotations

NAMES = {
    "pca": "PCA of the same width",
    "mean": "the mean",
    "raw": "raw input",
    "random": "untrained network",
    "kernel_pca": "kernel PCA",
    "pca_sign": "signs of PCA",
    "itq": "ITQ",
    "pixelwise": "by single pixels",
}


COMPARABLE = "comparable PCA"  # beside runs of unlike codes


def describe_row(row: str) -> str:
    """What a person reads for a row."""
    return NAMES.get(row, row.replace("_", " "))
