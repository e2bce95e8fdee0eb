"""What the learning curves say in a few numbers: the table `curve` of metrics.json, which rules read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]  # of history.csv
LAST = 0.75  # of the steps: what came after it is the last quarter


def summarise_curve(history: Rows, monitor: str) -> dict[str, float]:
    """Of the last stage of training.

    `steps`: how many; `earlier_steps`: of the stages before. `validations`: how many, each after equally many steps.
    `last_quarter`: how far the monitored value of the validation split fell below its best within the last quarter of
    the steps, as a share of its whole fall since the first validation: 0 to 1, whatever the unit of a loss. `swing`:
    how far the reconstruction's training loss went up and down again from one validation to the next, all such moves
    together, as a multiple of its fall since the second one. Both are left out where nothing fell, or validations are
    too few.
    """
    found = read_curve(history, "val", monitor)
    earlier = max((_step(row) for row in history if "/" in str(row.get("split"))), default=0)
    steps = max((step for step, _ in found), default=0)
    values: dict[str, float] = {"steps": steps - earlier, "earlier_steps": earlier, "validations": len(found)}
    if (share := measure_last_quarter(found, earlier)) is not None:
        values["last_quarter"] = share
    trained = read_curve(history, "train", "reconstruction") or read_curve(history, "train", "loss")
    if (swing := measure_swing([value for _, value in trained])) is not None:
        values["swing"] = swing
    return values


def read_curve(history: Rows, split: str, key: str) -> list[tuple[int, float]]:
    """Step and value of each row of a split that has one."""
    rows = ((_step(row), row.get(key)) for row in history if row.get("split") == split)
    return [(step, float(value)) for step, value in rows if isinstance(value, int | float) and math.isfinite(value)]


def measure_last_quarter(curve: Sequence[tuple[int, float]], start: int = 0) -> float | None:
    """Share of the fall that came in the last quarter of the steps after `start`."""
    if len(curve) < 2:
        return None
    first, end = curve[0][1], start + LAST * (curve[-1][0] - start)
    before = min([first, *(value for step, value in curve if step <= end)])
    best = min(value for _, value in curve)
    return (before - best) / (first - best) if best < first else None


def measure_swing(values: Sequence[float]) -> float | None:
    """Rises that were taken back at once, in units of the fall from the second value to the lowest: the first one may
    be that of an explosion, beside which all else is small."""
    values = values[1:]
    if len(values) < 4 or min(values) >= values[0]:
        return None
    moves = [after - before for before, after in zip(values, values[1:], strict=False)]
    swings = (min(max(0.0, up), max(0.0, -down)) for up, down in zip(moves, moves[1:], strict=False))
    return sum(swings) / (values[0] - min(values))


def _step(row: Mapping[str, Any]) -> int:
    step = row.get("step")
    return int(step) if isinstance(step, int | float) and abs(step) < 2**53 else 0
