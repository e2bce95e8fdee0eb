"""Principal components of the training rows, found once for all runs of these rows."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from aeexp.contracts import Examples
from aeexp.datasets.core.data import Data
from aeexp.evaluation.cache import Cache
from aeexp.evaluation.identity import describe_machine, describe_rows
from aeexp.evaluation.threads import one_thread
from aeexp.models.pca import Find, find_components


def keep_components(cache: Cache, data: Data) -> Find:
    """`find_components` of the training split of `data`, by the cache."""

    def find(split: Examples, count: int) -> tuple[Tensor, Tensor]:
        def compute() -> dict[str, np.ndarray]:
            mean, components = solve(split, count)
            return {"mean": mean.numpy(), "components": components.numpy()}

        if cache.folder is None:
            return solve(split, count)
        features = math.prod(split.shape)
        key = {"components": count, "rows": describe_rows(data), **describe_machine(data.device)}
        kept = cache.arrays(key, compute, {"mean": (features,), "components": (count, features)})
        return torch.from_numpy(kept["mean"]), torch.from_numpy(kept["components"])

    return find


def solve(split: Examples, count: int) -> tuple[Tensor, Tensor]:
    """`find_components`: products in all threads, eigenvectors in one, beside a busy process ten times faster."""
    return find_components(split, count, one_thread)
