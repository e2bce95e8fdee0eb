"""Codes of whole splits, and the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aeexp import files
from aeexp.datasets.core.split import Split
from aeexp.datasets.core.stream import Stream
from aeexp.models.learner import Learner, choose_batch_size


@torch.no_grad()
def encode_split(learner: Learner, split: Split | Stream) -> dict[str, np.ndarray]:
    """Mean codes x (N, D) float32 of a split, row numbers ids, and y, s and target (the number to predict) where there
    are any; row by row alike.

    The rows are as the encoder was trained on, before a task takes anything away.
    """
    fields: dict[str, list[np.ndarray]] = {"x": [], "y": [], "s": [], "target": [], "ids": []}
    for batch in split.batches(choose_batch_size(split.shape)):
        context = learner.context(batch) if learner.model.condition.told else None
        code = learner.model.encode(batch.x, context, batch.mask)
        beside = {"y": batch.y, "s": batch.s, "target": batch.response, "ids": batch.ids}
        for name, field in {"x": code.mean.float(), **beside}.items():
            if field is not None:
                fields[name].append(field.cpu().numpy())
    return {name: np.concatenate(parts) for name, parts in fields.items() if parts}


def encode_splits(
    learner: Learner, splits: Mapping[str, Split | Stream], classes: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Codes of splits under the keys of official splits in an .npz: x_train, y_train, s_train, ids_train, ...

    A single split named "" has plain keys. Labels that `dataset.labelled` hides stay -1: who trains on these codes has
    no more of them than the run had. A split without labels beside one that has them is all -1; of numbers to predict
    (target) it is NaN. `classes` are the names of the numbers in y.
    """
    arrays: dict[str, np.ndarray] = {}
    labelled = any(split.y is not None for split in splits.values())
    numbered = any(split.response is not None for split in splits.values())
    for name, split in splits.items():
        fields = encode_split(learner, split)
        if labelled:
            fields.setdefault("y", np.full(len(fields["x"]), -1, np.int64))
        if numbered:
            fields.setdefault("target", np.full(len(fields["x"]), np.nan, np.float32))
        arrays |= {f"{key}_{name}" if name else key: value for key, value in fields.items()}
    if labelled and len(classes):
        arrays["classes"] = np.array(classes)
    return arrays


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """An .npz of plain arrays, whole or not there."""
    content: dict[str, Any] = dict(arrays)
    files.write(path, lambda file: np.savez_compressed(file, **content))
