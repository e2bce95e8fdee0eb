"""A penalty on how fast the code moves with the input. Its weight is a 0-d buffer."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor
from torch.func import vjp, vmap

from aeexp.contracts import Model, Regularizer
from aeexp.ranges import Count, NonNegative
from aeexp.types import Pass


@final
class Contractive(Regularizer):
    """Squared Frobenius norm of the encoder's Jacobian at the input it saw, (B,) (Rifai et al. 2011).

    `exact` takes one backward pass per unit of the code; `hutchinson` averages over `probes` random
    directions in code space, E |J^T v|^2 = |J|_F^2 for v ~ N(0, I). The mean code is differentiated,
    never a sample.

    Formula: |J|_F² = Σ_ij (∂mean_i / ∂x_j)²

    Look at: the Jacobian's norm (latent/jacobian_norm) against the reconstruction error.
    """

    def __init__(self, weight: NonNegative, estimate: Literal["exact", "hutchinson"] = "exact", probes: Count = 1):
        super().__init__(weight)
        self.estimate = estimate
        self.probes = probes

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) at the input that the encoder saw."""
        # a grey picture may have strides that pass for channels-last ones, for which GroupNorm has no vmap rule
        x = out.x.clone(memory_format=torch.contiguous_format)
        code, pull = vjp(lambda x: model.encode(x, out.context, out.batch.mask).mean, x)[:2]
        if self.estimate == "exact":
            eye = torch.eye(code.shape[1], dtype=code.dtype, device=code.device)
            rows = vmap(lambda unit: pull(unit.expand_as(code))[0])(eye)
            return rows.square().flatten(2).sum((0, 2))
        directions = torch.randn(self.probes, *code.shape, dtype=code.dtype, device=code.device)
        rows = vmap(lambda v: pull(v)[0])(directions)
        return rows.square().flatten(2).sum(2).mean(0)
