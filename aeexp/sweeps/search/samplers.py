"""Who proposes the next values.

A proposal is a function of the seed, its number and the trials before it: a study that was cut off goes on as it
would have.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler

from aeexp.errors import UsageError
from aeexp.randomness import mix


class Sampler(ABC):
    """Proposes values, by a sampler of Optuna's that is made anew for each trial."""

    @abstractmethod
    def make_sampler(self, number: int, together: bool) -> BaseSampler:
        """For trial `number`. Trials that run `together` count as bad ones meanwhile, so that they are not alike."""


@final
class Tpe(Sampler):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), of several objectives too (Ozaki et al. 2022)."""

    def __init__(self, *, seed: int | None = 0, n_startup_trials: int = 10):
        if n_startup_trials < 0:
            raise UsageError(f"n_startup_trials={n_startup_trials} must not be negative")
        self.seed = seed
        self.n_startup_trials = n_startup_trials

    def make_sampler(self, number: int, together: bool) -> BaseSampler:
        return optuna.samplers.TPESampler(
            seed=mix_seed(self.seed, number), n_startup_trials=self.n_startup_trials, constant_liar=together
        )


@final
class Random(Sampler):
    """Independent draws (Bergstra and Bengio 2012)."""

    def __init__(self, *, seed: int | None = 0):
        self.seed = seed

    def make_sampler(self, number: int, together: bool) -> BaseSampler:
        return optuna.samplers.RandomSampler(seed=mix_seed(self.seed, number))


@final
class Nsga2(Sampler):
    """Evolution towards a Pareto front (Deb et al. 2002)."""

    def __init__(self, *, seed: int | None = 0, population_size: int = 20):
        if population_size < 2:
            raise UsageError(f"population_size={population_size} must be at least 2")
        self.seed = seed
        self.population_size = population_size

    def make_sampler(self, number: int, together: bool) -> BaseSampler:
        return optuna.samplers.NSGAIISampler(seed=mix_seed(self.seed, number), population_size=self.population_size)


@final
class Grid(Sampler):
    """Every combination of the values once, the last key fastest.

    Optuna's own grid ends a study by a call that is an error under ask and tell.
    """

    def make_sampler(self, number: int, together: bool) -> BaseSampler:
        return optuna.samplers.RandomSampler(seed=number)  # of nothing: all values are given

    def list_points(self, space: Mapping[str, BaseDistribution]) -> Iterator[dict[str, Any]]:
        """Every combination as a trial's values. Raises UsageError for a range without steps."""
        columns = [list_values(name, distribution) for name, distribution in space.items()]
        return (dict(zip(space, point, strict=True)) for point in itertools.product(*columns))


def list_values(name: str, distribution: BaseDistribution) -> list[Any]:
    """All values that it can take. Raises UsageError where they cannot be counted."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution) and not distribution.log:
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        count = math.floor((distribution.high - distribution.low) / distribution.step + 1e-8) + 1
        return [round(distribution.low + i * distribution.step, 12) for i in range(count)]
    raise UsageError(f"hydra/sweeper/sampler=grid: {name} is an open interval: name its values, as in {name}=1,2,5")


def mix_seed(seed: int | None, number: int) -> int | None:
    """A seed of its own for each trial; None draws anew each time."""
    return None if seed is None else mix(seed, number) % 2**32
