"""How well the model itself names the classes."""

from __future__ import annotations

from typing import ClassVar, final

import torch.nn.functional as F

from aeexp.evaluation.contracts import Metric, Number
from aeexp.evaluation.probes import score_labels
from aeexp.evaluation.run import Run, Values
from aeexp.evaluation.uncertainty import measure_mean, measure_share


@final
class Classification(Metric):
    """Accuracy and cross-entropy (nats per example) of a model that was trained to predict labels.

    Measured on the labelled rows of `Run.rows`; left out where no part of the learner has `label_scores(out)`.

    Formula: accuracy: share of rows with argmax_c p(c|x) = y; nats: mean of -log p(y|x)

    Look at: probe/linear of the raw input: what labels give without a code.
    """

    of_train: ClassVar = True
    reads: ClassVar = ("model", "labels", "classes")
    numbers: ClassVar = (
        Number("classification/accuracy", "higher", "share", headline=True, label="accuracy of the model's own labels"),
        Number("classification/nats", "lower", "nats per example"),
    )

    def __call__(self, run: Run, split: str) -> Values:
        answers = score_labels(run, split)
        if answers is None:
            return {}
        scores, y = answers
        return {
            "classification/accuracy": measure_share((scores.argmax(1) == y).cpu().numpy()),
            "classification/nats": measure_mean(F.cross_entropy(scores, y, reduction="none").cpu().numpy()),
        }
