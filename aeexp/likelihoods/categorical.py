"""p(target | output) of pixels that are stored as integers: a probability for each grey level."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from aeexp.contracts import Likelihood
from aeexp.errors import UsageError
from aeexp.ranges import Several
from aeexp.tensors import sum_features


@final
class Categorical(Likelihood):
    """Each value is one of `levels` grey levels from 0 to 1; the output is a logit for each of them.

    The distortion is a probability's -log, no density's, and makes no assumption about its shape (van den Oord et
    al. 2016, section 2.2). The decoder gives `levels` numbers a value: channel axis (C * levels, H, W), (D * levels,),
    or (T, F * levels) for sequences. A target below 0 is unknown and counts 0.
    `levels` null are the classes of the masks under task=segment. At 256 levels a fully connected decoder becomes huge:
    take model=conv.

    Formula: -Σ_i log softmax(a_i)_level(x_i)

    Look at: generation/elbo_bits_per_dim: bits of a code for the pixels, comparable between likelihoods.
    """

    density: ClassVar = False
    grid: Tensor

    def __init__(self, levels: Several | None = 256):
        super().__init__()
        self.levels = levels or 0
        self.register_buffer("grid", torch.linspace(0, 1, self.levels), persistent=False)

    def adapt(self, levels: int | None, shape: tuple[int, ...] = ()) -> None:
        """As many levels as the task's targets have, where none are named."""
        if self.levels:
            return
        if levels is None:
            raise UsageError("levels=null are the classes of task=segment; give the number of grey levels, as 256")
        self.levels = levels
        self.grid = torch.linspace(0, 1, levels)

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B,) nats."""
        logits = self._logits(output)
        known = target >= 0
        level = (target * (self.levels - 1)).round().long().clamp(min=0)
        chosen = logits.gather(-1, level.unsqueeze(-1)).squeeze(-1)
        return sum_features((logits.logsumexp(-1) - chosen) * known, mask)

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """`levels` numbers for each value."""
        if len(shape) == 2:
            return (shape[0], shape[1] * self.levels)
        return (shape[0] * self.levels, *shape[1:])

    def mean(self, output: Tensor) -> Tensor:
        """The expected value."""
        return self._logits(output).softmax(-1) @ self.grid.to(output.dtype)

    def mode(self, output: Tensor) -> Tensor:
        """The most probable value."""
        return self._logits(output).argmax(-1) / (self.levels - 1)

    def draw(self, output: Tensor, target: Tensor | None = None) -> Tensor:
        """One of the levels, by Gumbel noise on the logits."""
        logits = self._logits(output)
        noise = -(-torch.rand_like(logits).clamp(min=1e-30).log()).log()
        return (logits + noise).argmax(-1) / (self.levels - 1)

    def check(self, low: float, high: float, step: float | None = None) -> None:
        """Raises UsageError on values that are no integers scaled to [0, 1], or are of other levels."""
        levels = 0 if step is None or step <= 0 else round(1 / step) + 1
        whole = step is not None and levels > 0 and abs(step * (levels - 1) - 1) < 1e-6
        if not whole or not low >= 0 or not high <= 1:
            raise UsageError(
                f"likelihood=categorical needs integers scaled to [0, 1], but the data has {low:.4g} to {high:.4g} "
                f"{'and no grid' if step is None else f'in steps of {step:.4g}'}: take likelihood=gaussian, or another "
                "dataset.scale"
            )
        if levels != self.levels:
            raise UsageError(
                f"likelihood.levels={self.levels}, but the data has values of {levels} kinds: take "
                f"likelihood.levels={levels}"
            )

    def _logits(self, output: Tensor) -> Tensor:
        """(B, *shape, levels)."""
        axis = 2 if output.dim() == 3 else 1
        return output.unflatten(axis, (-1, self.levels)).movedim(axis + 1, -1)
