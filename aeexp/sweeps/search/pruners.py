"""Which runs end before their time. A step is one validation; its value is the best so far.

The value of a run is its best one, too: a run that is ended was behind by what it would have been judged by.
"""

from __future__ import annotations

import optuna
from optuna.pruners import BasePruner


def none() -> BasePruner:
    """Every run goes to its end."""
    return optuna.pruners.NopPruner()


def median(*, n_startup_trials: int = 5, n_warmup_steps: int = 5) -> BasePruner:
    """Ends a run that is worse than the median of the others at the same step (Golovin et al. 2017)."""
    return optuna.pruners.MedianPruner(n_startup_trials=n_startup_trials, n_warmup_steps=n_warmup_steps)


def percentile(*, percentile: float = 25.0, n_startup_trials: int = 5, n_warmup_steps: int = 5) -> BasePruner:
    """Ends a run that is not among the best `percentile` % of the others at the same step."""
    options = dict(n_startup_trials=n_startup_trials, n_warmup_steps=n_warmup_steps)
    return optuna.pruners.PercentilePruner(percentile, **options)


def hyperband(*, min_resource: int = 1, max_resource: int | None = None, reduction_factor: int = 3) -> BasePruner:
    """Successive halving in several brackets (Li et al. 2018)."""
    return optuna.pruners.HyperbandPruner(
        min_resource=min_resource, max_resource=max_resource or "auto", reduction_factor=reduction_factor
    )
