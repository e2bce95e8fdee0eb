"""A label predicted from the code, beside the reconstruction."""

from __future__ import annotations

from typing import ClassVar, final

import torch.nn.functional as F
from torch import Tensor

from aeexp.contracts import Model, Regularizer
from aeexp.errors import UsageError
from aeexp.models.nn.critic import Critic
from aeexp.ranges import Count, NonNegative
from aeexp.types import Facts, Pass


@final
class Classifier(Regularizer):
    """Cross-entropy in nats of the label given the code, (B,), whose mean over rows is that over the labelled ones.

    The two-objective network: encoder and classifier are trained together (Ranzato and Szummer 2008). Where n of N rows
    are labelled, such a row counts N / n and another 0: the weight is the same however few labels there are. No hidden
    layer: softmax regression on the code.

    Formula: -N / n log softmax(g(z))_y

    Look at: classification/accuracy beside probe/linear, with few labels (dataset.labelled=100).
    """

    predicts_label: ClassVar = True

    def __init__(self, weight: NonNegative, hidden_dims: list[Count]):
        super().__init__(weight)
        self.hidden_dims = list(hidden_dims)

    def adapt(self, model: Model, facts: Facts) -> None:
        """The head, as wide as there are classes. Raises UsageError on data without labels."""
        if facts.classes < 2:
            message = facts.explain_labels("classifier", "take another data set, or drop classifier")
            raise UsageError(
                message.replace("drop classifier", "take regularizer=regressor") if facts.response else message
            )
        self.head = Critic(model.latent.dim, self.hidden_dims, facts.classes)

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) nats."""
        values = F.cross_entropy(self.head(out.code.z), out.batch.labels.clamp(min=0), reduction="none")
        return values * out.batch.label_weights

    def score_labels(self, out: Pass) -> Tensor:
        """(B, classes) log-probabilities of the labels, up to a constant of the row."""
        return self.head(out.code.mean)

    def check(self, model: Model) -> None:
        """Raises UsageError where the code was told the label."""
        if model.condition.reads_label and model.condition.told > 0:
            raise UsageError(
                "classifier would read the label off a code that was told it: take condition=none, or "
                "condition.encoder=false"
            )
