"""How far all codes together are from a law, by their shadows on lines. Weights are buffers."""

from __future__ import annotations

from typing import final

from torch import Tensor

from aeexp.contracts import Model, Regularizer
from aeexp.ranges import Count, NonNegative
from aeexp.regularizers.needs import draw_prior, need_unbounded
from aeexp.tensors import randn_for_all, whole_rows
from aeexp.types import Pass


@final
class SlicedWasserstein(Regularizer):
    """Squared sliced Wasserstein distance of the codes in a batch from as many draws of N(0, I), or of the latent's
    prior (SWAE, Kolouri et al. 2019), ().

    On a line the best transport takes the sorted codes to the sorted draws; `projections` random directions stand for
    all. Acts on any code, as mmd does, and needs no kernel. Multiplied by the width D, so that codes which are off by a
    vector s cost |s|², whatever the width.

    Formula: D/L Σ_l 1/B Σ_i (sort(z·w_l)_i - sort(p·w_l)_i)², |w_l| = 1

    Look at: samples from the prior (plot=samples), beside those of mmd.
    """

    def __init__(self, weight: NonNegative = 10.0, projections: Count = 50):
        super().__init__(weight)
        self.projections = projections
        self.holds_against_prior = True

    def forward(self, out: Pass, model: Model) -> Tensor:
        """() of the batch."""
        z = out.code.z
        directions = randn_for_all(z, z.shape[1], self.projections)
        return sliced_wasserstein(whole_rows(z), whole_rows(draw_prior(model, z)), directions) * z.shape[1]

    def check(self, model: Model) -> None:
        """Raises UsageError where codes cannot be held against a prior."""
        need_unbounded("sliced_wasserstein", model)


def sliced_wasserstein(a: Tensor, b: Tensor, directions: Tensor) -> Tensor:
    """() mean over directions (D, L), of any length above 0, of the squared distance of samples (B, D) along them."""
    unit = directions / directions.norm(dim=0, keepdim=True)
    shadows = [(rows @ unit).sort(dim=0).values for rows in (a, b)]
    return (shadows[0] - shadows[1]).square().mean()
