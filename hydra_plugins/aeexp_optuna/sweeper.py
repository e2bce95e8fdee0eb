"""`hydra/sweeper=aeexp_optuna`: where Hydra finds the search. Its keys are in conf/hydra/sweeper/aeexp_optuna.yaml.

Hydra imports this file at each start, so what works lies in aeexp.sweeps.search and is imported by a search alone.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, final

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from aeexp.errors import UsageError


@final
class OptunaSweeper(Sweeper):
    """Asks Optuna for values, runs them through any launcher, tells what came of them."""

    def __init__(
        self, params: Any, n_trials: Any, n_jobs: Any, objectives: Any, directions: Any, sampler: Any, pruner: Any,
        study_name: Any, storage: Any,
    ):  # fmt: skip
        """Hydra passes the keys; they are held against `sweeps.search.search.Search`, which says what they mean."""
        if find_spec("optuna") is None:
            raise UsageError("hydra/sweeper=aeexp_optuna needs Optuna: pip install 'aeexp[hpo]'")

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's call before the sweep: what it needs to compose jobs and to launch them."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the whole search; gives back what each batch of jobs returned. Raises UsageError."""
        from aeexp.sweeps.search.sweeping import run_search

        assert self.hydra_context and self.config is not None and self.launcher, "Hydra calls setup first"
        return run_search(self.config, self.hydra_context.config_loader, self.launcher.launch, arguments)
