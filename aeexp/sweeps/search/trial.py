"""A job's side of a search: it tells each validation, and ends where others were better at the same place.

The job's number is the trial's, and where the study lies is in Hydra's node: nothing is added to the job's
configuration, whose hash is the run's identity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate

if TYPE_CHECKING:
    from aeexp.trainers.checkpoint import Progress

SWEEPER = "hydra_plugins.aeexp_optuna.sweeper.OptunaSweeper"


class Pruned(Exception):
    """The search ends this run: it was behind."""


def is_search() -> bool:
    """Whether this job is a trial of a search."""
    hydra_cfg = HydraConfig.get()
    return hydra_cfg.mode != RunMode.RUN and hydra_cfg.sweeper.get("_target_") == SWEEPER


def make_follower() -> Callable[[Progress], None] | None:
    """What a pruned search wants to be told at each validation of this job; None outside of one."""
    hydra_cfg = HydraConfig.get()
    if not is_search():
        return None
    if hydra_cfg.sweeper.pruner._target_.endswith(".none"):
        return None
    import optuna

    from aeexp.sweeps.search.storage import open_storage

    pruner = instantiate(hydra_cfg.sweeper.pruner)
    study = optuna.load_study(study_name=hydra_cfg.sweeper.study_name, storage=open_storage(hydra_cfg), pruner=pruner)
    frozen = study.get_trials(deepcopy=False)[hydra_cfg.job.num]
    trial = optuna.trial.Trial(study, frozen._trial_id)
    known = set(frozen.intermediate_values)  # from before the run was cut off

    def follow(progress: Progress) -> None:
        """Of several stages the last one alone counts. Raises `Pruned`."""
        if progress.history[-1]["split"] != "val":
            return
        validation = sum(row["split"] == "val" for row in progress.history)
        if validation not in known:
            trial.report(progress.best, validation)
        if trial.should_prune():
            plural = "" if validation == 1 else "s"
            raise Pruned(f"behind others after {validation} validation{plural}: best {progress.best:.4g}")

    return follow
