"""The figures of a run, and what TensorBoard's projector is given."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aeexp.evaluation.run import Run
from aeexp.runs.tracking import Tracker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aeexp.drawing.animation import Animation

log = logging.getLogger(__name__)

WIDEST_SPRITE = 8192  # pixels; a wider sheet kills the tab


def projection(run: Run, rows: int = 1000) -> tuple[np.ndarray, dict[str, list], Tensor | None]:
    """Codes (N, D, at least 3), columns label, split and error, and pictures (N, 1 or 3, H, W) in [0, 1] or None.

    At most `rows` of each split, fewer where pictures are large; the first ones, which splits keep in the
    order of the source.
    """
    shape = run.data.shape
    pictured = len(shape) == 3 and shape[0] in (1, 3)
    if pictured:
        rows = min(rows, (WIDEST_SPRITE // max(shape[1:])) ** 2 // len(run.data.splits))
    columns: dict[str, list] = {"label": [], "split": [], "error": []}
    for split in run.data.splits:
        count = min(rows, len(run.rows(split)))
        columns["label"] += _labels(run, split, count)
        columns["split"] += [split] * count
        columns["error"] += run.errors(split)[:count].tolist()
    codes = np.concatenate([run.codes(split)[:rows] for split in run.data.splits])
    # The projector draws no point of one or two dimensions: zeros make them three.
    codes = np.pad(codes, ((0, 0), (0, max(0, 3 - codes.shape[1]))))
    return codes, columns, _pictures(run, rows) if pictured else None


def _labels(run: Run, split: str, count: int) -> list[str]:
    labels = run.labels(split)
    if labels is None:
        return ["?"] * count
    # The projector labels points by the first column that is not numeric.
    names = [f"class {name}" if name.isdigit() else name for name in run.data.classes]
    return ["?" if y < 0 else names[y] if y < len(names) else f"class {y}" for y in labels[:count].tolist()]


def _pictures(run: Run, rows: int) -> Tensor:
    pictures = torch.cat([run.rows(split).batch(slice(0, rows)).x for split in run.data.splits])
    low, high = run.data.limits
    pictures = (pictures - low) / ((high - low) or 1.0)
    height, width = pictures.shape[2:]
    side = max(height, width)
    # the sheet has square places: torch's writer fails on pictures that are taller than wide
    pictures = F.pad(pictures, (0, side - width, 0, side - height))
    if side < 16:
        # A sprite of 8 pixels is a dot on the screen.
        pictures = pictures.repeat_interleave(times := math.ceil(16 / side), 2).repeat_interleave(times, 3)
    return pictures.cpu()


Plot = Callable[[Run], dict[str, "Figure | Animation"]]


class Undrawn(RuntimeError):
    """The run is trained and measured, but a figure of it could not be drawn."""


def show(plots: Mapping[str, Plot], result: Run, track: Tracker, folder: Path) -> None:
    """Figures, and codes for the projector; raises `Undrawn` once all that can be drawn is there."""
    failed = draw(plots, result, lambda name, figure: track.figure(name, figure, result.best_step))
    if plots:
        track.projector(*projection(result), result.best_step)
    way = f"metrics.json is written; the same command with hydra.run.dir={folder} draws again"
    if failed:
        raise Undrawn(f"{'; '.join(failed)}\n{way}")


def draw(plots: Mapping[str, Plot], result: Run, show: Callable[[str, Figure], None]) -> list[str]:
    """Every figure that can be drawn goes to `show` by its name; what was told of each that cannot."""
    failed = []
    left = [name for name, plot in plots.items() if result.segments and plot.of_pictures]
    if left:
        log.info("plot=[%s] left out: the target is a mask, and what a code decodes to is no picture", ",".join(left))
        plots = {name: plot for name, plot in plots.items() if name not in left}
    for option, plot in plots.items():
        try:
            for name, figure in plot(result).items():
                show(name, figure)
        except Exception as error:  # told here with its traceback, and again at the end
            log.exception("plot=%s failed", option)
            failed.append(f"plot={option} failed: {type(error).__name__}: {error}")
    return failed
