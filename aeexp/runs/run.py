"""One run from configuration to run folder: load, build, train, measure, draw, report."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig

from aeexp.datasets.core.data import Data
from aeexp.errors import UsageError
from aeexp.evaluation.contracts import Metric
from aeexp.evaluation.run import Run
from aeexp.runs.caching import find_cache
from aeexp.runs.companions import make_plots
from aeexp.runs.config import check, make, to_dict
from aeexp.runs.diagnosing import describe_illnesses, tell_illnesses
from aeexp.runs.figures import Sketches, log_figures
from aeexp.runs.film import open_film
from aeexp.runs.film_figures import log_film
from aeexp.runs.folder import RunFolder
from aeexp.runs.idle import list_idle
from aeexp.runs.learning_probe import make_probe
from aeexp.runs.machine import use_machine
from aeexp.runs.measuring import warn_of_classes
from aeexp.runs.origin import find_origin
from aeexp.runs.preparing import load_data_and_learner, make_trainer, open_store
from aeexp.runs.ranks import gather_ranks
from aeexp.runs.results import evaluate, format_table, save_codes, shorten, write_metrics
from aeexp.runs.status import Status
from aeexp.runs.titles import hyperparameters, title_run
from aeexp.runs.tracking import Tracker
from aeexp.runs.training import Steps, fit_codes, run_through
from aeexp.runs.warm_start import start_from
from aeexp.timing import Clock, stage, take_spent
from aeexp.trainers.checkpoint import Progress, Store
from aeexp.trainers.contracts import Training

log = logging.getLogger(__name__)


def execute_run(
    cfg: DictConfig, status: Status, choices: Mapping[str, Any], bar: bool,
    follow: Callable[[Progress], None] | None = None,
) -> float:  # fmt: skip
    """Leave a complete run folder and return the lowest monitored value, as `run_in_steps` says."""
    return run_through(run_in_steps(cfg, status, choices, bar, follow))


def run_in_steps(
    cfg: DictConfig, status: Status, choices: Mapping[str, Any], bar: bool,
    follow: Callable[[Progress], None] | None = None,
) -> Steps[float]:  # fmt: skip
    """One run, which gives its training away in the middle and goes on with what came of it: that of several runs may
    be done together. It leaves a complete run folder and returns the lowest monitored value.

    `status` is that of the folder, which is this run's (`claim`). `choices` names the option of each group; `bar` asks
    for a progress bar. `follow` is called at each validation with where the run stands, and may raise to end it.
    Threads, generators and the like are those of the caller again afterwards.
    """
    clock = Clock(take_spent())
    status.begin()
    with clock.running():
        folder, config = status.folder, check_config(cfg, choices)
    if status.finished:
        return return_finished(status.finished, cfg, folder)

    with use_machine(cfg) as device, clock.running():
        data, learner = load_data_and_learner(cfg, device)
        untrained, origin = copy.deepcopy(learner.model), find_origin(config)
        measures, trainer = make_metrics(cfg, data), make_trainer(cfg)
        plots, parts = make_plots(cfg, measures), (make(cfg, "optimizer"), make(cfg, "scheduler"))
        start_from(config, learner, data, trainer)
        store = open_store(folder, config, origin, data, trainer.checkpoint_seconds)
        film = open_film(cfg, plots, trainer, learner, data, folder, store.header)
        track = Tracker(
            folder, hyperparameters(config, choices), bar=bar, film=film, sketch=Sketches(plots, learner, data).draw,
            on_step=lambda progress: note_step(status, track.total, progress, follow), title=title_run(folder, choices),
            probe=make_probe(trainer.probe_every_epochs, measures, learner, data),
        )  # fmt: skip
        with closing(track):
            with gather_ranks(cfg, trainer, folder, data) as trainer.group:
                progress = yield Training(trainer, learner, data, *parts, store, track, cfg.seed)
            track.close_bar()
            run = Run(learner, data, progress.history, untrained, cache=find_cache(folder))
            metrics = evaluate(measures, run, track, progress, trainer.monitor) | origin.describe(config)
            metrics |= describe_illnesses(metrics, config)
            status.check()  # another process may have taken this one for dead, and have measured the run
            save_best(store, run, folder if cfg.save_codes else None)
            # Numbers first: a figure that fails must not take them along.
            write_metrics(folder, metrics, progress, clock)
            log_figures(plots, run, track, folder)
            log_film(film, run, progress, track)
            status.check()
            write_metrics(folder, metrics, progress, clock)
    status.note(step=progress.step, best=progress.best if math.isfinite(progress.best) else None)
    status.end("finished")
    say_last_words(metrics, folder)
    return progress.best


def note_step(status: Status, total: int, progress: Progress, follow: Callable[[Progress], None] | None) -> None:
    """At each validation: where the run stands, for who looks at its folder, and for who follows it."""
    status.note(step=progress.step, steps=total, best=progress.best if math.isfinite(progress.best) else None)
    if follow is not None:
        follow(progress)


def say_last_words(metrics: Mapping[str, Any], folder: RunFolder) -> None:
    """The table, and below it what the run suffers from."""
    log.info(format_table(metrics, folder))
    tell_illnesses(metrics, shorten(folder))


@contextmanager
def closing(track: Tracker) -> Iterator[None]:
    """Whether the run got to its end stands in its row of TensorBoard's table."""
    finished = False
    try:
        yield
        finished = True
    finally:
        track.close(finished)


def check_config(cfg: DictConfig, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The checked configuration as plain Python, with a word on each key that does nothing."""
    check(cfg)
    config = to_dict(cfg)
    for line in list_idle(config, choices):
        log.warning(line)
    return config


def return_finished(finished: Mapping[str, Any], cfg: DictConfig, folder: RunFolder) -> float:
    """What a finished run returned. Raises UsageError where its data has changed since; data that is not there any
    more is no obstacle."""
    try:
        now = make(cfg, "dataset").fingerprint
    except UsageError as error:
        log.info("%s is finished already: nothing to do (its data cannot be read: %s)", folder, error)
        return finished["best"]
    if now != finished["fingerprint"]:
        raise UsageError(
            f"{folder} holds this run, finished on other data (fingerprint {finished['fingerprint']}, "
            f"now {now}):\nbring the data back as it was, or choose another folder to train on what it is now"
        )
    log.info("%s is finished already: nothing to do", folder)
    return finished["best"]


@stage("build")
def make_metrics(cfg: DictConfig, data: Data) -> dict[str, Metric]:
    """What the run is measured with, with a word on what needs classes where there are none."""
    metrics = make(cfg, "metric")
    warn_of_classes(data, metrics)
    return metrics


@stage("files")
def save_best(store: Store, run: Run, codes: RunFolder | None = None) -> None:
    """best.pt: the best state, with what its latent takes from the training codes; and the `codes` of test rows."""
    fit_codes(run)
    if store.best is not None:
        store.best["learner"] = run.learner.state_dict()
    store.save_best()
    if codes is not None:
        save_codes(codes, run)
