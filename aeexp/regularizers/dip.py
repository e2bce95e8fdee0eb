"""The covariance of codes held near the identity. Weights are buffers."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from aeexp.contracts import Model, Regularizer
from aeexp.errors import UsageError
from aeexp.ranges import NonNegative
from aeexp.regularizers.needs import need_prior
from aeexp.tensors import whole_rows
from aeexp.types import Pass


@final
class DIP(Regularizer):
    """Disentangled inferred prior (DIP-VAE, Kumar et al. 2018): the codes' covariance over the batch near the identity,
    ().

    `kind` I takes the covariance of the posterior means (equation 6), II that of drawn codes, which is the same plus
    the mean of the posteriors' variances (equation 7). `weight` is that of the correlations, λ_od; `diagonal` how many
    times as much the variances count, λ_d / λ_od: 10 in the paper for I, 1 for II. Unlike a larger weight of kl it
    does not take information from the code.

    Formula: Σ_{i≠j} C_ij² + d Σ_i (C_ii - 1)², d the diagonal; C = Cov[μ(x)], in II + E[σ²(x)]

    Look at: metric=disentanglement beside that of beta_vae at an equal error; latent/total_correlation_gaussian.
    """

    diagonal: Tensor

    def __init__(self, weight: NonNegative = 10.0, kind: Literal["I", "II"] = "I", diagonal: NonNegative = 10.0):
        super().__init__(weight)
        self.kind = kind
        self.register_buffer("diagonal", torch.tensor(float(diagonal)))

    def forward(self, out: Pass, model: Model) -> Tensor:
        """() of the batch."""
        covariance = find_covariance(whole_rows(out.code.mean))
        if self.kind == "II":
            posterior = out.code.posterior
            covariance = covariance + torch.diag(whole_rows(posterior.log_var).exp().mean(0))
        return measure_covariance(covariance, self.diagonal)

    def check(self, model: Model) -> None:
        """Raises UsageError where codes are not drawn about a mean, or II has no variances."""
        need_prior("dip", model)
        if model.latent.space != "real":
            raise UsageError("dip needs codes that may have any covariance: take latent=gaussian, or drop dip")
        if self.kind == "II" and not model.latent.by_unit:
            raise UsageError(
                "regularizer.dip.kind=II needs the variance of each unit: take latent/posterior=diagonal, or "
                "regularizer.dip.kind=I"
            )


def find_covariance(z: Tensor) -> Tensor:
    """(D, D) over the rows of codes (B, D), by their number, as the paper has it."""
    centred = z - z.mean(0)
    return centred.mT @ centred / len(z)


def measure_covariance(covariance: Tensor, diagonal: Tensor | float) -> Tensor:
    """() squared distance from the identity; entries of the diagonal count so many times."""
    variances = torch.diagonal(covariance)
    off = covariance.square().sum() - variances.square().sum()
    return off + diagonal * (variances - 1).square().sum()
