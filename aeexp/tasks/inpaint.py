"""The target is the whole row, of which the encoder sees a part."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from aeexp import holes
from aeexp.contracts import Likelihood, Task
from aeexp.errors import UsageError
from aeexp.randomness import uniform
from aeexp.ranges import Share
from aeexp.tensors import sum_features
from aeexp.types import Batch

KEY = 0x401E0000  # no epoch's number: binarised rows draw under theirs


@final
class Inpaint(Task):
    """The target is the whole row, and x has a hole: what lies in it is `fill`. `Batch.hole` says where it is.

    `shape`: a block of `size` of every side, one half of the row, or irregular blots of `size` of its places (pixels,
    steps, features); without a size 0.5 and 0.25. In training a hole is drawn anew at every step. In evaluation it
    follows from the row's number (`Batch.ids`), or its place in the batch where rows have none: the same row has the
    same hole in every batch, and under every model.
    """

    size: Tensor
    fill: Tensor

    def __init__(self, shape: Literal["block", "half", "random"], size: Share | None = None, fill: float = 0.0):
        super().__init__()
        if shape == "half" and size is not None:
            raise UsageError(
                f"size={size}: shape=half takes half of every row; leave task.size=null, or take shape=block or random"
            )
        self.shape = shape
        self.register_buffer("size", torch.tensor(float(size or {"random": 0.25}.get(shape, 0.5))))
        self.register_buffer("fill", torch.tensor(float(fill)))

    def forward(self, batch: Batch) -> Batch:
        """The batch with a hole in x, and the whole rows as target."""
        x, rows = batch.x, len(batch.x)
        count = holes.count_draws(self.shape, x.shape[1:])
        if self.training:
            u = torch.rand(rows, count, device=x.device)
        else:
            u = uniform(torch.arange(rows, device=x.device) if batch.ids is None else batch.ids, count, KEY)
        hole = holes.SHAPES[self.shape](u, x, self.size, batch.mask)
        if batch.mask is not None:
            hole = hole & batch.mask.unsqueeze(-1)
        return batch._replace(x=torch.where(hole, self.fill, x), target=x, hole=hole)

    def error(self, likelihood: Likelihood, output: Tensor, batch: Batch) -> Tensor:
        """(B,) squared error of the mean, summed over all features, hole or not."""
        return sum_features((likelihood.mean(output) - batch.targets).square(), batch.mask)
