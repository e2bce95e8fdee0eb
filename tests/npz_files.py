"""Arrays in .npz files, read as rows or refused."""

from __future__ import annotations

import numpy as np
import pytest

from aeexp.datasets.core.data import Data
from aeexp.datasets.core.splits import Fractions
from aeexp.datasets.formats.npz import npz
from aeexp.errors import UsageError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = np.arange(40) % 4


def read(path, split=None, **keys) -> Data:
    return npz(name="npz", split=split or Fractions([8, 1, 1]), path=str(path), **keys)


def all_rows(data: Data) -> tuple[np.ndarray, np.ndarray | None]:
    """Values in units and labels of all splits, in the order of the file."""
    ids = np.concatenate([split.ids for split in data.splits.values()])
    x = np.concatenate([split.batch(slice(None)).x.numpy() for split in data.splits.values()])
    y = None if data["train"].y is None else np.concatenate([split.y.numpy() for split in data.splits.values()])
    return x[ids.argsort()], None if y is None else y[ids.argsort()]


def refused(path, **keys) -> str:
    """The message: one or two lines that name the file."""
    with pytest.raises(UsageError) as error:
        read(path, **keys)
    message = str(error.value)
    assert path.name in message and 1 <= len(message.splitlines()) <= 2
    return message
