"""Penalties on the code, (B,), before their weight. Weights are 0-d buffers."""

from __future__ import annotations

from typing import final

from torch import Tensor

from aeexp.contracts import Model, Regularizer
from aeexp.types import Pass


@final
class L1(Regularizer):
    """Sum of the absolute values of the code: pulls units to 0 (Goodfellow et al. 2016, section 14.2.1).

    Formula: Σ_j |z_j|

    Look at: how many units stay near 0 (latent/sparsity; latent/l0 counts those that are exactly 0), and the probe
    beside the error.
    """

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) sum over units."""
        return out.code.z.abs().sum(1)


@final
class CodeL2(Regularizer):
    """Half the squared norm of the code, (B,): the KL where nothing is drawn (RAE, Ghosh et al. 2020, equation 8).

    Formula: ½ Σ_j z_j²

    Look at: samples of a density fitted to the codes (plot=samples), and the error that they cost.
    """

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) half the sum of squares."""
        return 0.5 * out.code.z.square().sum(1)
