"""The rows that a page shows: the same for all its runs, as small as they are stored."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from aeexp.datasets.core.data import Data
from aeexp.evaluation.run import Run
from aeexp.explorer.blobs import Blobs
from aeexp.types import Batch

BYTES = 5_000_000  # that rows may take
FEW = 16  # rows at least, of however many values


class Shown(NamedTuple):
    """Rows of a split, and where they lie in it."""

    split: str
    batch: Batch
    total: int


def choose_rows(run: Run, split: str, count: int) -> Shown:
    """At most `count` drawn rows of a split, fewer of large ones."""
    rows = run.rows(split)
    values = math.prod(rows.shape)
    few = min(count, max(FEW, BYTES // (values if is_stored_as_bytes(run.data) else 4 * values)))
    chosen = rows.sample(few)
    return Shown(split, chosen.batch(slice(0, len(chosen))), len(rows))


def is_stored_as_bytes(data: Data) -> bool:
    """Whether each value is one of 256."""
    return data.step is not None and (data.limits[1] - data.limits[0]) / data.step < 255.5


def describe_data(data: Data, shown: Shown, blobs: Blobs) -> dict[str, Any]:
    """What the page says of the data, and its rows."""
    batch = shown.batch
    return {
        "name": data.name,
        "split": shown.split,
        "total": shown.total,
        "shape": list(batch.x.shape[1:]),
        "limits": list(data.limits),
        "rows": pack_rows(data, batch.x.cpu().numpy(), blobs),
        "count": len(batch.x),
        "lengths": None if batch.mask is None else blobs.add(batch.mask.sum(1).cpu().numpy(), "i4"),
        "classes": list(data.classes),
        "labels": None if batch.y is None else blobs.add(batch.y.cpu().numpy(), "i4"),
        "response": data.response or "number to predict",
        "numbers": None if batch.response is None else blobs.add(batch.response.cpu().numpy()),
        "table": describe_table(data, batch.x.cpu().numpy(), blobs),
    }


def pack_rows(data: Data, x: np.ndarray, blobs: Blobs) -> dict[str, Any]:
    """value = stored * scale + shift: a byte each where that says the same."""
    if is_stored_as_bytes(data) and data.step is not None:
        low = data.limits[0]
        stored = np.rint((x.astype(np.float64) - low) / data.step)
        if stored.min() >= 0 and stored.max() < 256 and np.abs(stored * data.step + low - x).max() < 1e-6:
            return {"blob": blobs.add(stored, "u1"), "scale": data.step, "shift": low}
    return {"blob": blobs.add(x), "scale": 1.0, "shift": 0.0}


def describe_table(data: Data, x: np.ndarray, blobs: Blobs) -> dict[str, Any] | None:
    """The columns of a table, and how its values are brought back to the data's units; None of other data."""
    if not data.variables:
        return None
    preprocessing = data["train"].preprocessing
    scale, shift = (np.broadcast_to(np.asarray(part, np.float32), x.shape[1:]) for part in
                    (preprocessing.scale, preprocessing.shift))  # fmt: skip
    columns, place = [], 0
    for variable in data.variables:
        columns.append({"name": variable.name, "categories": list(variable.categories), "place": place})
        place += max(1, len(variable.categories))
    low, high = (np.percentile(x, share, axis=0) for share in (1, 99))
    return {
        "columns": columns, "scale": blobs.add(scale), "shift": blobs.add(shift), "low": blobs.add(low),
        "high": blobs.add(high), "spread": blobs.add(x.std(0)),
    }  # fmt: skip
