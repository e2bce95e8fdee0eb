"""The film of a run that is through: its figures at each step that was kept, as animations and pictures."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, NamedTuple

from aeexp.drawing.animation import Animation
from aeexp.evaluation.run import Run
from aeexp.runs.figures import draw_plots, make_undrawn
from aeexp.runs.film import Film
from aeexp.runs.tracking import Tracker
from aeexp.runs.training import fit_codes
from aeexp.timing import stage
from aeexp.trainers.checkpoint import Progress, Saved, check_weights, load

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # not to be loaded where nothing is drawn

log = logging.getLogger(__name__)


class Shot(NamedTuple):
    """A state of the learner that becomes a frame."""

    step: int
    epoch: float
    weights: Saved


def log_film(film: Film, run: Run, progress: Progress, track: Tracker) -> None:
    """Write figures/film_*.gif, and film/* to TensorBoard, a picture a step; raises `Undrawn` where that fails, and
    then keeps what it would be drawn of."""
    if film.every is None:
        return
    with stage("film"):
        shots = read_shots(film, progress)
        drawn, failures = draw_shots(film, run, shots)
        if failures:
            raise make_undrawn(f"film: {'; '.join(failures)}", film.folder)
        for name, figures in drawn.items():
            write_film(name, figures, shots, track)
        log.info("film: %d frames of %s", len(shots), ", ".join(drawn) or "nothing: no figure had anything to draw")
        film.remove()


def read_shots(film: Film, progress: Progress) -> list[Shot]:
    """Those of the steps that were kept, and where training ended: the state of last.pt, which need not be the best."""
    shots = []
    for frame in film.list_frames():
        saved = load(frame.path)
        if frame.step < progress.step:
            shots.append(Shot(frame.step, saved["progress"]["epoch"], saved["learner"]))
    epoch = progress.history[-1]["epoch"] if progress.history else 0.0
    return [*shots, Shot(progress.step, epoch, load(film.folder.last)["learner"])]


def draw_shots(film: Film, run: Run, shots: list[Shot]) -> tuple[dict[str, dict[int, Figure]], list[str]]:
    """Of each name the figures by the places of their shots; and a line for each plot that failed."""
    last = restore(run, shots[-1])
    plots = {name: copy.copy(plot) for name, plot in film.plots.items()}
    for plot in plots.values():
        plot.like = last
    drawn: dict[str, dict[int, Figure]] = {}
    for place, shot in enumerate(shots):

        def save(name: str, figure: Figure | Animation, place: int = place) -> None:
            if not isinstance(figure, Animation):
                drawn.setdefault(name, {})[place] = figure

        if failures := draw_plots(plots, last if place == len(shots) - 1 else restore(run, shot), save):
            return {}, failures
    return drawn, []


def restore(run: Run, shot: Shot) -> Run:
    """The run as it was then, with its baselines, which learn nothing."""
    learner = copy.deepcopy(run.learner)
    check_weights(learner, shot.weights)
    learner.load_state_dict(shot.weights)
    then = Run(learner, run.data, untrained=run.untrained, cache=run.cache)
    then.best_step = shot.step
    then.compute_once("pca", run.pca)
    fit_codes(then)
    return then


def write_film(name: str, figures: dict[int, Figure], shots: list[Shot], track: Tracker) -> None:
    """One figure's film."""
    from aeexp.drawing.film import align, choose_like, make_film  # with matplotlib

    alike = choose_like(list(figures.values()))
    kept = {place: figure for i, (place, figure) in enumerate(figures.items()) if i in alike}
    if len(kept) < len(figures):
        log.info("film_%s: %d frames are left out, whose panels are others", name, len(figures) - len(kept))
    align(list(kept.values()))
    labels = [f"step {shots[place].step:,}    epoch {shots[place].epoch:.3g}" for place in kept]
    shares = [shots[place].step / max(1, shots[-1].step) for place in kept]
    animation = make_film(list(kept.values()), labels, shares)
    track.log_film(name, animation, [shots[place].step for place in kept])
