"""Picture files, read as rows or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aeexp.datasets.core.records import Source
from aeexp.datasets.formats.folder import folder
from aeexp.errors import UsageError

KEYS = ("path", "val", "test", "size", "masks", "val_masks", "test_masks", "mask_values")


def grey(seed=0, size=(6, 5)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def color(seed=0, size=(6, 5)) -> np.ndarray:
    return grey(seed, (*size, 3))


def save(path: Path, array: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def load(path, **keys) -> Source:
    return folder.load(str(path), **keys)


def read(path, **keys) -> np.ndarray:
    """All rows (N, C, H, W) of a folder."""
    return load(path, **keys).rows.x.read()


def refused(path, **keys) -> str:
    with pytest.raises(UsageError) as error:
        rows = load(path, **keys).rows
        rows.x.read()
        if rows.target is not None:
            rows.target.read()
    message = str(error.value)
    assert 1 <= len(message.splitlines()) <= 2 and message.split("=")[0] in KEYS
    return message
