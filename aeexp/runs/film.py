"""A film of training: states of the learner are kept while it learns, and drawn when it has learnt
(`film_figures`).

Training is the same with and without it: a frame costs it a copy of the weights. What the axes of all frames must hold
is known at the end alone.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, final

from omegaconf import DictConfig

from aeexp import files
from aeexp.datasets.core.data import Data
from aeexp.drawing.contracts import Plot
from aeexp.errors import UsageError
from aeexp.models.learner import Learner
from aeexp.runs.folder import RunFolder
from aeexp.timing import stage
from aeexp.trainers.archive import write_archive
from aeexp.trainers.checkpoint import Saved
from aeexp.trainers.contracts import Trainer

log = logging.getLogger(__name__)

Every = str | int | None  # log, or epochs; None: no film
BIG = 50e6  # bytes of a state that are worth a word


class Frame(NamedTuple):
    """A state that was kept."""

    step: int
    path: Path


def is_on_grid(step: int) -> bool:
    """Whether the step is 0 or a power of the square root of 2, rounded: 0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, ..."""
    return step == 0 or step > 0 and math.floor(2 ** (round(2 * math.log2(step)) / 2) + 0.5) == step


@final
class Film:
    """Which steps of a run are filmed, and the states of its learner there: `checkpoints/film-<step>.pt`, each a
    checkpoint of its own, which a run that goes on finds again. They are removed once the film is drawn.

    `plots` are those that have one. `resume` is the folder of a run that this one goes on from.
    """

    def __init__(
        self, every: Every, plots: Mapping[str, Plot], learner: Learner, folder: RunFolder, header: Saved,
        resume: RunFolder | None = None,
    ):  # fmt: skip
        self.every = every
        self.plots = dict(plots)
        self.learner = learner
        self.folder = folder
        self.header = header
        self.resume = resume

    def is_due(self, step: int, epoch: float) -> bool:
        """Whether the state after this step is a frame."""
        if self.every is None:
            return False
        if self.every == "log":
            return is_on_grid(step)
        return epoch == int(epoch) and int(epoch) % int(self.every) == 0

    @stage("film")
    def keep(self, step: int, epoch: float) -> None:
        """The learner as it stands; `step` is counted through all stages."""
        content = {**self.header, "learner": self.learner.state_dict(), "progress": {"step": step, "epoch": epoch}}
        files.write(self.folder.checkpoints / f"film-{step:09d}.pt", lambda file: write_archive(content, file))

    def begin(self, step: int) -> None:
        """The run begins at this step, or goes on there: frames up to it are its own, or those of the run that it goes
        on from; later ones are taken again."""
        if self.every is None:
            return
        for frame in self.list_frames():
            if frame.step > step:
                frame.path.unlink()
        if step == 0:
            self.keep(0, 0.0)
            size = self.list_frames()[0].path.stat().st_size
            if size > BIG:
                log.info(
                    "plot.every=%s: each frame takes %.0f MB of checkpoints/ until the end", self.every, size / 1e6
                )
            return
        for frame in list_frames(self.resume) if self.resume is not None and not self.list_frames() else ():
            if frame.step <= step:
                shutil.copyfile(frame.path, self.folder.checkpoints / frame.path.name)
        if not self.list_frames():
            log.warning("plot.every=%s: of steps up to %d no frames are left: the film begins behind", self.every, step)

    def list_frames(self) -> list[Frame]:
        """In the order of their steps."""
        return list_frames(self.folder)

    def remove(self) -> None:
        """All states that were kept for it."""
        for frame in self.list_frames():
            frame.path.unlink()


def list_frames(folder: RunFolder) -> list[Frame]:
    """States that a run folder keeps for a film, in the order of their steps."""
    paths = sorted(folder.checkpoints.glob("film-*.pt"))
    return [Frame(int(path.stem[5:]), path) for path in paths if path.stem[5:].isdecimal()]


def open_film(
    cfg: DictConfig, plots: Mapping[str, Plot], trainer: Trainer, learner: Learner, data: Data, folder: RunFolder,
    header: Saved,
) -> Film:  # fmt: skip
    """The film of a run that is ready to be trained, with a word on figures that have none. Raises UsageError where no
    figure has one, or where nothing moves."""
    every: Every = cfg.plot.get("every")
    if every is None:
        return Film(None, {}, learner, folder, header)
    if not trainer.takes_steps:
        name = type(trainer).__name__
        raise UsageError(f"plot.every={every}: {name} solves at once, and a film is of steps: take plot.every=null")
    from aeexp.drawing.cloud import is_cloud  # with matplotlib, which is not loaded where nothing is drawn

    why = dict(_explain_still(plots, learner.task.masks, bool(data.variables) and not is_cloud(data)))
    filmed = {name: plot for name, plot in plots.items() if name not in why}
    left = "; ".join(f"{name} ({reason})" for name, reason in why.items())
    if not filmed:
        raise UsageError(
            f"plot.every={every}: no figure makes a film{f': {left}' if left else ''}\n"
            "name one that does, as in plot=[reconstructions], or take plot.every=null"
        )
    log.info("plot.every=%s: a film of %s%s", every, ", ".join(filmed), f"; at the end alone: {left}" if left else "")
    return Film(every, filmed, learner, folder, header, RunFolder(cfg.resume) if cfg.resume else None)


def _explain_still(plots: Mapping[str, Plot], masks: bool, table: bool) -> Iterator[tuple[str, str]]:
    for name, plot in plots.items():
        if masks and plot.of_pictures:
            yield name, "the output is a mask"
        elif plot.unfilmed:
            yield name, plot.unfilmed
        elif table and plot.chooses_columns:
            yield name, "the columns that change most are others at each step"
