"""Data sets that ship with scikit-learn: no download, no files."""

from __future__ import annotations

import numpy as np

from aeexp.data.assemble import dataset
from aeexp.data.records import Rows, Source


@dataset
def digits() -> Source:
    """1,797 handwritten digits of 8x8 pixels with 17 grey levels (UCI optical recognition, test part)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = bunch.images.astype(np.uint8)[:, None]
    return Source(Rows(x, bunch.target.astype(np.int64)), scale=1 / 16, classes=tuple(map(str, range(10))))
