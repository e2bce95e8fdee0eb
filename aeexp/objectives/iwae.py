"""The importance weighted bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from aeexp.errors import UsageError
from aeexp.models.autoencoder import Autoencoder
from aeexp.objectives.additive import Additive
from aeexp.objectives.bounds import bound, log_weights
from aeexp.types import Batch, Pass, Terms


class ImportanceWeighted(nn.Module):
    """The negative bound of IWAE with `samples` codes a row, in nats without the likelihood's constant; 1 is the ELBO.

    The log-ratio of prior and posterior is that of the sample, never the closed form, which would take K out of it.
    `gradient`: standard (Burda et al. 2016), or doubly_reparameterized (Tucker et al. 2019), whose signal-to-noise
    ratio does not fall with K. Further regularizers act on the first of the codes.

    Formula: -log 1/K Σ_k p(x, z_k) / q(z_k|x), z_k ~ q(z|x)

    Look at: the bound over K, beside the NLL of metric=generation; active units, of which it leaves more.
    """

    def __init__(
        self,
        noise: nn.Module,
        regularizers: Mapping[str, nn.Module],
        *,
        samples: int = 5,
        gradient: Literal["standard", "doubly_reparameterized"] = "standard",
    ):
        super().__init__()
        if samples < 1:
            raise UsageError(f"samples={samples} must be at least 1")
        if "kl" in regularizers:
            raise UsageError("samples: the bound contains the KL: leave kl out of the regularizers")
        self.corruption = Additive(noise, regularizers)
        self.samples = samples
        self.gradient = gradient

    @property
    def noise(self) -> nn.Module:
        return self.corruption.noise

    def check(self, model: Autoencoder) -> None:
        """Raise UsageError where this bound cannot be had of the model."""
        if not hasattr(model.latent, "prior"):
            raise UsageError(
                "samples are drawn codes, and this latent draws none: take latent=gaussian, or objective=additive"
            )
        if self.samples != 1 and getattr(model.likelihood, "estimate", "fixed") == "optimal":
            raise UsageError(
                f"samples={self.samples}: the mean squared error over all codes is not the best variance of this "
                "bound: "
                "take likelihood.estimate=learned"
            )
        if self.gradient != "standard" and not getattr(model.latent, "reparameterized", True):
            raise UsageError(
                f"gradient={self.gradient} needs codes drawn from a density, which this latent relaxes: "
                "take objective.gradient=standard, or latent=gaussian or hyperspherical"
            )

    def forward(self, model: Autoencoder, batch: Batch) -> tuple[Terms, Pass]:
        x = self.corruption.corrupted(batch) if self.training else batch.x
        double = self.gradient == "doubly_reparameterized" and torch.is_grad_enabled()
        weights, _, out = log_weights(model, batch, x, self.samples, doubly=double)
        value = bound(weights)
        if double:
            surrogate = (weights.detach().softmax(0) * weights).sum(0)
            value = surrogate + (value - surrogate).detach()
        terms = {"bound": -value, **out.code.losses}
        for name, penalty in self.corruption.regularizers.items():
            terms[name] = penalty.weight * penalty(out, model)
        return terms, out
