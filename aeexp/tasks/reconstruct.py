"""The target is the input itself."""

from __future__ import annotations

from typing import final

from torch import Tensor

from aeexp.contracts import Likelihood, Task
from aeexp.tensors import sum_features
from aeexp.types import Batch, Facts


@final
class Reconstruct(Task):
    """The target is the input itself."""

    tokens: int = 0

    def adapt(self, facts: Facts) -> None:
        """What is text is compared token by token."""
        self.tokens = facts.tokens

    def forward(self, batch: Batch) -> Batch:
        """The batch with x as its own target."""
        return batch._replace(target=batch.x)

    def error(self, likelihood: Likelihood, output: Tensor, batch: Batch) -> Tensor:
        """(B,) squared error of the mean, summed over features; of text how many tokens are not the most probable."""
        if 0 < self.tokens == likelihood.levels:
            wrong = (likelihood.mode(output) - batch.targets).abs() * (self.tokens - 1) > 0.5
            return sum_features(wrong.float(), batch.mask)
        return sum_features((likelihood.restore(output, batch.targets) - batch.targets).square(), batch.mask)
