"""A digest of the rows of a data set: the same rows in the same splits have the same."""

from __future__ import annotations

import hashlib

import numpy as np

from aeexp.datasets.core.records import StoredArray, StreamedArray, read
from aeexp.datasets.core.split import Split
from aeexp.datasets.core.stream import Stream


def fingerprint(splits: dict[str, Split | Stream]) -> str:
    """Of all rows in memory; of rows beyond it, of which they are and of some of them."""
    digest = hashlib.blake2b(digest_size=8)
    for name, split in splits.items():
        rows = split.rows
        digest.update(
            f"{name} {tuple(rows.x.shape)} {np.dtype(rows.x.dtype)}".encode() + split.preprocessing.to_bytes()
        )
        if isinstance(rows.x, (StoredArray, StreamedArray)):
            digest.update(rows.x.to_bytes())
            rows = rows.take(rows.x.spread(64))
            rows = rows._replace(x=read(rows.x), target=None)
        for field in (rows.x, rows.y, rows.s, rows.target, rows.lengths, rows.response):
            if isinstance(field, np.ndarray):
                digest.update(np.ascontiguousarray(field).data)
    return digest.hexdigest()
