"""What a probe reads of the validation codes while a model learns: curves beside that of the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aeexp.datasets.core.data import Data
from aeexp.errors import UsageError
from aeexp.evaluation.contracts import Metric
from aeexp.evaluation.run import Run
from aeexp.metrics.probe import Probe
from aeexp.models.learner import Learner
from aeexp.timing import stage


def make_probe(
    every: int | None, metrics: Mapping[str, Metric], learner: Learner, data: Data
) -> Callable[[], Mapping[str, float]]:
    """Numbers of metric=probe on the validation split, of the learner as it stands: as the run is measured with it at
    its end, else as conf/ has it, without its budgets. Fitted on training codes, chosen and counted on validation
    rows; no row of the test split is read. Raises UsageError where there is nothing to read.

    The learner is left in evaluation mode: a step sets its own.
    """
    if every is None:
        return dict
    if not data.is_labelled and not data.has_response:
        raise UsageError(
            f"trainer.probe_every_epochs={every}: {data.name} has splits without labels, and a probe reads labels from "
            "codes: take null"
        )
    own = next((metric for metric in metrics.values() if isinstance(metric, Probe)), None)
    probe = Probe() if own is None else own.without_budgets()

    def read() -> Mapping[str, float]:
        with stage("probe"):
            return {key: float(value) for key, value in probe(Run(learner, data), "val").items()}

    return read
