"""Baselines of a run by its cache: each number under all that it depends on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, final

from aeexp.evaluation.cache import Table
from aeexp.evaluation.contracts import Metric
from aeexp.evaluation.identity import Undescribed, describe_machine, describe_part, describe_rows
from aeexp.evaluation.run import Run, Values


@final
class Keeper:
    """Measures the baselines of one run on its test split, or finds what another run of the same rows left.

    A metric or task of other people's, whose code may change without a sign, is measured at each call.
    """

    def __init__(self, run: Run):
        self.run = run

    def of_pca(self, pca: Run) -> Callable[[Metric, Run, str], Values]:
        """A metric of the comparable PCA, by what it can hold and the likelihood that it was given."""

        def call(metric: Metric, other: Run, split: str) -> Values:
            depends = {"row": "pca", "split": split, **self.width, "likelihood": pca.model.likelihood}
            return self._one(depends, metric, lambda: metric(other, split))

        return call

    def of_raw(self, metric: Metric, run: Run, split: str) -> Values:
        """A metric of the raw input, whatever the width of the run."""
        return self._one({"row": "raw", "split": split}, metric, lambda: metric(run.raw(), split))

    def own(self, metric: Metric) -> Table:
        """The metric's own rows; kept where it says that they follow from the data."""
        depends = {"row": "own", **self.width}
        return self._table(depends, [metric], metric.keeps, lambda: metric.baselines(self.run, "test"))

    def models(self, metric: Metric, readers: Mapping[str, Metric]) -> Table:
        """What the readers say of the models that the metric brings, which are not built where that is known."""
        if type(metric).models is Metric.models:
            return {}

        def compute() -> Table:
            return {
                name: {key: number for reader in readers.values() for key, number in reader(other, "test").items()}
                for name, other in metric.models(self.run).items()
            }

        return self._table({"row": "models", **self.width}, [metric, *readers.values()], metric.keeps, compute)

    @property
    def width(self) -> dict[str, Any]:
        """What a code can hold: what decides on the PCA beside it."""
        latent = self.run.model.latent
        return {"dim": latent.dim, "capacity": latent.capacity()._asdict()}

    @cached_property
    def _shared(self) -> dict[str, Any]:
        run = self.run
        rows = {"data": run.data, "inputs": run.inputs, "learned": run.learned}
        return {
            "rows": {name: describe_rows(data) for name, data in rows.items()},
            "lacks": sorted(run.lacks),
            "segments": run.segments,
            "text": run.spelling is not None,
            **describe_machine(run.device),
        }

    def _one(self, depends: Mapping[str, Any], metric: Metric, compute: Callable[[], Values]) -> Values:
        return self._table(depends, [metric], True, lambda: {"": compute()}).get("", {})

    def _table(
        self, depends: Mapping[str, Any], metrics: list[Metric], kept: bool, compute: Callable[[], Table]
    ) -> Table:
        if not kept or self.run.cache.folder is None:
            return compute()
        try:
            parts = describe_part({**depends, "task": self.run.learner.task, "metrics": metrics})
        except Undescribed:
            return compute()
        patterns = [re.compile(number.pattern, re.DOTALL) for metric in metrics for number in metric.numbers]

        def known(name: str) -> bool:
            return any(pattern.fullmatch(name) for pattern in patterns)

        return self.run.cache.numbers({**parts, **self._shared}, compute, known)
