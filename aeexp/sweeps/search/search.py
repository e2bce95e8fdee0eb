"""The search: asks for values, has them run, tells what came of them, and goes on where it was cut off."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, final

import optuna
from hydra.core.utils import JobReturn, JobStatus
from optuna.distributions import distribution_to_json
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from aeexp.errors import UsageError, quote_words
from aeexp.runs.claim import identify
from aeexp.runs.folder import RunFolder
from aeexp.sweeps.search.outcome import read_objectives, read_outcome
from aeexp.sweeps.search.samplers import Grid, Sampler
from aeexp.sweeps.search.space import Space, format_overrides
from aeexp.sweeps.search.study import open_study

log = logging.getLogger(__name__)

Launch = Callable[..., Sequence[JobReturn]]
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
BEGUN = (*ENDED, TrialState.RUNNING)


@final
class Search:
    """One study. `objectives` are `best` (the monitored value), keys of metrics.json below val/ and timing/, or
    values of the configuration; never numbers of the test split."""

    def __init__(
        self,
        *,
        params: dict[str, Any],
        n_trials: int,
        n_jobs: int,
        objectives: list[str],
        directions: list[str],
        sampler: Sampler,
        pruner: BasePruner,
        study_name: str,
        storage: str | None,
    ):
        for name, value in dict(n_trials=n_trials, n_jobs=n_jobs).items():
            if value < 1:
                raise UsageError(f"{name}={value} must be at least 1")
        _check_objectives(objectives)
        _check_directions(directions, objectives)
        if objectives != ["best"] and not isinstance(pruner, optuna.pruners.NopPruner):
            raise UsageError(f"pruner: runs are compared by objectives=[best], not by {objectives}: take pruner=none")
        self.n_trials = n_trials
        self.n_jobs = n_jobs
        self.objectives = objectives
        self.directions = directions
        self.sampler = sampler
        self.pruner = pruner
        self.study_name = study_name

    def begin(self, store: BaseStorage, root: Path, space: Space, fixed: list[str]) -> None:
        """Open or make the study in `store`; all trials share the overrides `fixed`. Raises UsageError where it holds
        another search."""
        self.space, self.fixed = space, fixed
        self.total = self.n_trials
        if isinstance(self.sampler, Grid):
            self.total = min(self.n_trials, sum(1 for _ in islice(self.sampler.list_points(self.space), self.n_trials)))
        self.root = root
        asked = {
            "space": {name: distribution_to_json(value) for name, value in self.space.items()},
            "overrides": sorted(self.fixed),
            "objectives": [f"{d} {o}" for d, o in zip(self.directions, self.objectives, strict=True)],
        }
        self.study = open_study(store, self.study_name, self.directions, self.pruner, asked)

    def propose_batches(self) -> Iterator[list[FrozenTrial]]:
        """Trials to run: first those of this folder that were cut off, then new ones up to `n_trials`."""
        cut = [t for t in self.get_trials(TrialState.RUNNING) if t.user_attrs.get("sweep") == str(self.root)]
        ended = len(self.get_trials(*ENDED))
        if ended or cut:
            log.info("the study goes on: %d of %d trials are done, %d were cut off", ended, self.total, len(cut))
        for i in range(0, len(cut), self.n_jobs):
            yield cut[i : i + self.n_jobs]
        while (missing := self.total - len(self.get_trials(*BEGUN))) > 0:
            yield [self.ask() for _ in range(min(missing, self.n_jobs))]

    def ask(self) -> FrozenTrial:
        """A new trial with its values, marked as one of this folder."""
        trials = self.study.get_trials(deepcopy=False)
        self.study.sampler = self.sampler.make_sampler(len(trials), self.n_jobs > 1)
        if isinstance(self.sampler, Grid) and not self.get_trials(TrialState.WAITING):
            asked = [trial.params for trial in trials]
            point = next(point for point in self.sampler.list_points(self.space) if point not in asked)
            self.study.enqueue_trial(point)
        trial = self.study.ask(self.space)
        trial.set_user_attr("sweep", str(self.root))
        return self.study.get_trials(deepcopy=False)[trial.number]

    def run(self, launch: Launch) -> list[Sequence[JobReturn]]:
        """Every batch through the launcher; a job that fails is a trial that failed."""
        results = []
        for batch in self.propose_batches():
            for trials in split_at_gaps(batch):
                jobs = [[*self.fixed, *format_overrides(trial.params)] for trial in trials]
                results.append(launch(jobs, initial_job_idx=trials[0].number))
                for trial, result in zip(trials, results[-1], strict=True):
                    self.tell(trial.number, result)
        return results

    def tell(self, number: int, result: JobReturn) -> None:
        """What the run's folder says: any launcher, any machine that shares the disk."""
        assert result.hydra_cfg is not None and result.cfg is not None, "Hydra sets both before a job runs"
        folder = RunFolder(result.hydra_cfg.hydra.runtime.output_dir)
        status, metrics = read_outcome(folder, identify(result.cfg))
        if status["status"] == "pruned":
            self.study.tell(number, state=TrialState.PRUNED)
            return log.info("trial %d pruned: %s", number, status["message"])
        refused = _is_nan(result)  # the folder's numbers are not of this job
        values = read_objectives(self.objectives, metrics, result.cfg) if metrics and not refused else None
        if values is None:
            self.study.tell(number, state=TrialState.FAIL)
            return log.warning("trial %d failed: %s", number, folder)
        self.study.tell(number, values)
        mark = "  best" if number in [trial.number for trial in self.study.best_trials] else ""
        log.info("trial %d: %s%s", number, self.format_objectives(values), mark)

    def format_objectives(self, values: Sequence[float]) -> str:
        """`best 0.123, latent.dim 8`"""
        return ", ".join(f"{name} {value:.5g}" for name, value in zip(self.objectives, values, strict=True))

    def get_trials(self, *states: TrialState) -> list[FrozenTrial]:
        """The study's trials that are in one of these states."""
        return self.study.get_trials(deepcopy=False, states=states)

    def format_command(self, trial: FrozenTrial) -> str:
        """Runs this trial's values once."""
        return quote_words("aeexp", *self.fixed, *format_overrides(trial.params), "hydra.mode=RUN")

    def conclude(self) -> None:
        """The best trials in the log, figures in the sweep's folder."""
        from aeexp.sweeps.search.charts import count_trials
        from aeexp.sweeps.search.figures import draw_figures

        counts = count_trials(self.study)
        log.info("study %s: %s", self.study_name, ", ".join(f"{number} {name}" for name, number in counts.items()))
        if not counts["complete"]:
            return
        best = sorted(self.study.best_trials, key=lambda trial: trial.values)
        log.info("best trial:" if len(best) == 1 else f"{len(best)} trials that no other beats in all objectives:")
        for trial in best:
            values, command = self.format_objectives(trial.values), self.format_command(trial)
            log.info("trial %d: %s\n  %s", trial.number, values, command)
        try:
            draw_figures(self.study, self.objectives, self.root)
        except Exception:  # the numbers stand, and the summary and its exit code are still to come
            log.exception("a figure of the search failed")


def split_at_gaps(trials: Sequence[FrozenTrial]) -> list[list[FrozenTrial]]:
    """Trials by consecutive numbers: a launcher counts its jobs up."""
    parts: list[list[FrozenTrial]] = []
    for trial in sorted(trials, key=lambda trial: trial.number):
        if parts and parts[-1][-1].number == trial.number - 1:
            parts[-1].append(trial)
        else:
            parts.append([trial])
    return parts


def _check_objectives(objectives: Sequence[str]) -> None:
    if not objectives:
        raise UsageError("objectives=[]: name one at least, as best")
    if len(set(objectives)) != len(objectives):
        raise UsageError(f"objectives={objectives}: one is named twice")
    for name in objectives:
        if name.startswith(("test/", "baseline/")):
            reason = "tuning on test rows makes the test worthless: take val/..., as val/probe/linear"
            raise UsageError(f"objectives={objectives}: {reason}")
        if "/" in name and not name.startswith(("val/", "timing/")):
            raise UsageError(f"objectives={objectives}: {name} is neither best, val/..., timing/... nor a value's path")


def _check_directions(directions: Sequence[str], objectives: Sequence[str]) -> None:
    if not set(directions) <= {"minimize", "maximize"}:
        raise UsageError(f"directions={directions}: take minimize or maximize")
    if len(directions) != len(objectives):
        raise UsageError(f"directions={directions}: give one for each of the {len(objectives)} objectives")
    if ("best", "maximize") in zip(objectives, directions, strict=True):
        raise UsageError("directions: best is the lowest monitored value: take minimize")


def _is_nan(result: JobReturn) -> bool:
    """What a job that failed returns; one that raised has no return value."""
    value = result.return_value if result.status == JobStatus.COMPLETED else None
    return isinstance(value, float) and math.isnan(value)
