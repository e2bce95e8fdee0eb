"""Pictures drawn at random, in the formats of published sets."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from aeexp.errors import UsageError


def pictures(n=50, seed=0, shape=(1, 4, 4)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def refused(load, root, **keys) -> str:
    """The message: one or two lines that begin with the root."""
    with pytest.raises(UsageError) as error:
        load.load(str(root), **keys)
    message = str(error.value)
    assert message.startswith(f"root={root}: dataset={load.__name__} ") and len(message.splitlines()) <= 2
    return message


PARTS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()
