"""A number predicted from the code, beside the reconstruction."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from aeexp.contracts import Model, Regularizer
from aeexp.errors import UsageError
from aeexp.models.nn.critic import Critic
from aeexp.ranges import Count, NonNegative
from aeexp.types import Facts, Pass


@final
class Regressor(Regularizer):
    """Squared error of the number to predict given the code, (B,), in variances of the training rows' numbers.

    `classifier` for numbers (dataset.target): 1 is what the mean of the training rows leaves. Its mean over rows is
    that over those whose number is known: where n of N rows are, such a row counts N / n and another 0. No hidden
    layer: linear regression on the code (supervised autoencoder, Le et al. 2018).

    Formula: N / n ((g(z) − t) / deviation of t)²

    Look at: regression/r2 beside probe/ridge_r2, with few labels (dataset.labelled=100).
    """

    predicts_response: ClassVar = True
    center: Tensor
    spread: Tensor

    def __init__(self, weight: NonNegative, hidden_dims: list[Count]):
        super().__init__(weight)
        self.hidden_dims = list(hidden_dims)

    def adapt(self, model: Model, facts: Facts) -> None:
        """The head, of one output. Raises UsageError on data without numbers to predict."""
        if facts.response is None:
            way = "take regularizer=classifier" if facts.classes > 1 else "name its column, as in dataset.target=price"
            raise UsageError(f"regressor needs a number to predict, which these data do not have: {way}")
        self.head = Critic(model.latent.dim, self.hidden_dims, 1)
        for name, value in zip(("center", "spread"), facts.response, strict=True):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) variances of the training rows' numbers."""
        truth = (out.batch.responses - self.center) / self.spread
        known = ~truth.isnan()
        error = self.head(out.code.z).squeeze(1) - truth.where(known, 0.0)  # a NaN would reach the gradient
        return error.square() * known * out.batch.label_weights

    def predict_response(self, out: Pass) -> Tensor:
        """(B,) in the units of the data."""
        return self.head(out.code.mean).squeeze(1) * self.spread + self.center
