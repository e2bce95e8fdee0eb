"""The figures of a run, and what TensorBoard's projector is given."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aeexp.datasets.core.data import Data
from aeexp.drawing import channels
from aeexp.drawing.animation import Animation
from aeexp.drawing.contracts import Plot
from aeexp.errors import explain_machine, quote_override, tell
from aeexp.evaluation.needs import Unread, require_readable
from aeexp.evaluation.run import Run
from aeexp.models.learner import Learner
from aeexp.runs.blame import blame_part
from aeexp.runs.folder import RunFolder
from aeexp.runs.garbage import keep
from aeexp.runs.tracking import Tracker
from aeexp.timing import stage

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # not to be loaded where nothing is drawn

log = logging.getLogger(__name__)

WIDEST_SPRITE = 8192  # pixels; a wider sheet kills the tab


def project(run: Run, rows: int = 1000) -> tuple[np.ndarray, dict[str, list], Tensor | None]:
    """Codes (N, D, at least 3), columns label, split and error, and pictures (N, 1 or 3, H, W) in [0, 1] or None.

    At most `rows` of each split, fewer where pictures are large; the first ones, which splits keep in the
    order of the source.
    """
    shape = run.data.shape
    pictured = len(shape) == 3
    if pictured:
        rows = min(rows, (WIDEST_SPRITE // max(channels.measure(shape))) ** 2 // len(run.data.splits))
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
    labels, numbers = run.labels(split), run.responses(split)
    if numbers is not None:
        return [f"{number:.6g}" for number in numbers[:count].tolist()]
    if labels is None:
        return ["?"] * count
    # The projector labels points by the first column that is not numeric.
    names = [f"class {name}" if name.isdigit() else name for name in run.data.classes]
    return ["?" if y < 0 else names[y] if y < len(names) else f"class {y}" for y in labels[:count].tolist()]


def _pictures(run: Run, rows: int) -> Tensor:
    pictures = torch.cat([run.rows(split).batch(slice(0, rows)).x for split in run.data.splits])
    low, high = run.data.limits
    pictures = (pictures - low) / ((high - low) or 1.0)
    if channels.is_spread(pictures.shape[1:]):
        pictures = torch.from_numpy(np.nan_to_num(channels.spread(pictures.cpu().numpy()), nan=1.0))
    height, width = pictures.shape[2:]
    side = max(height, width)
    # the sheet has square places: torch's writer fails on pictures that are taller than wide
    pictures = F.pad(pictures, (0, side - width, 0, side - height))
    if side < 16:
        # A sprite of 8 pixels is a dot on the screen.
        pictures = pictures.repeat_interleave(times := math.ceil(16 / side), 2).repeat_interleave(times, 3)
    return pictures.cpu()


@final
class Sketches:
    """Pictures of a learner in training, by each plot that has some; one that fails is told once and drawn no more."""

    def __init__(self, plots: Mapping[str, Plot], learner: Learner, data: Data):
        pictured = not learner.model.masks
        self.plots = {name: plot for name, plot in plots.items() if pictured or not plot.of_pictures}
        self.learner = learner
        self.data = data

    def draw(self, save: Callable[[str, np.ndarray], None]) -> None:
        """Each picture goes to `save` by its name. The learner is left in evaluation mode: a step sets its own."""
        run = Run(self.learner, self.data)
        for option, plot in list(self.plots.items()):
            try:
                with stage("sketches"):
                    pictures = plot.sketch(run)
                for name, picture in pictures.items():
                    save(name, picture)
            except Exception:  # training goes on: the figure at its end fails the run, if it fails again
                log.exception("plot=%s: no pictures over training", option)
                del self.plots[option]


class Undrawn(RuntimeError):
    """The run is trained and measured, but a figure of it could not be drawn."""


def make_undrawn(trouble: str, folder: RunFolder) -> Undrawn:
    """With what to do."""
    way = f"metrics.json is written; the same command with {quote_override('hydra.run.dir', folder)} draws again"
    return Undrawn(f"{trouble}\n{way}")


def log_figures(plots: Mapping[str, Plot], run: Run, track: Tracker, folder: RunFolder) -> None:
    """Figures, and codes for the projector; raises `Undrawn` once all that can be drawn is there."""
    step = run.best_step or 0
    failures = draw_plots(plots, run, lambda name, figure: track.log_figure(name, figure, step))
    if plots:
        with stage("tensorboard"):
            track.log_codes(*project(run), step)
    if failures:
        raise make_undrawn("; ".join(failures), folder)


def draw_plots(plots: Mapping[str, Plot], run: Run, save: Callable[[str, Figure | Animation], None]) -> list[str]:
    """Every figure that can be drawn goes to `save` by its name; returns a line for each plot that cannot."""
    failures = []
    left = [name for name, plot in plots.items() if (run.segments or run.spelling) and plot.of_pictures]
    if left:
        kind = "text" if run.spelling else "a mask"
        log.info("plot=[%s] left out: the target is %s, and what a code decodes to is no picture", ",".join(left), kind)
        plots = {name: plot for name, plot in plots.items() if name not in left}
    if plots:
        with stage("imports"):  # matplotlib: else the first figure would seem to take it
            import aeexp.drawing.canvas  # noqa: F401 -- not to be loaded where nothing is drawn
        keep("matplotlib and scikit-learn")
    for option, plot in plots.items():
        try:
            require_readable(f"plot={option}", plot.reads, run)
            with stage(f"plot/{option}"):
                for name, figure in plot(run).items():
                    save(name, figure)
        except Unread as error:
            failures.append(str(error))
        except Exception as error:  # logged here with its traceback, and named again at the end
            blame = blame_part(error, f"plot.{option}", plot)
            lines = "" if blame is None else f": {blame.message}\n{blame.lines}"
            log.error("plot=%s failed%s", option, lines, exc_info=blame is None and explain_machine(error) is None)
            failures.append(f"plot={option} failed: {tell(error)}")
    return failures
