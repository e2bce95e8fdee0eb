"""The target is the input itself."""

from __future__ import annotations

from typing import final

from torch import Tensor

from aeexp.contracts import Likelihood, Task
from aeexp.tensors import sum_features
from aeexp.types import Batch


@final
class Reconstruct(Task):
    """The target is the input itself."""

    def forward(self, batch: Batch) -> Batch:
        """The batch with x as its own target."""
        return batch._replace(target=batch.x)

    def error(self, likelihood: Likelihood, output: Tensor, batch: Batch) -> Tensor:
        """(B,) squared error of the mean, summed over features."""
        return sum_features((likelihood.restore(output, batch.targets) - batch.targets).square(), batch.mask)
