"""The importance weighted bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, final

import torch
from torch import nn

from aeexp.contracts import Model, Noise, Objective, Regularizer
from aeexp.errors import UsageError
from aeexp.objectives.additive import weigh_penalties
from aeexp.objectives.bounds import bound, log_weights
from aeexp.ranges import Count
from aeexp.types import Batch, Pass, Terms


@final
class ImportanceWeighted(Objective):
    """The negative bound of IWAE with `samples` codes a row, in nats without the likelihood's constant; 1 is the ELBO.

    The log-ratio of prior and posterior is that of the sample, never the closed form, which would take K out of it.
    `gradient`: standard (Burda et al. 2016), or doubly_reparameterized (Tucker et al. 2019), whose signal-to-noise
    ratio does not fall with K. Further regularizers act on the first of the codes.

    Formula: -log 1/K Σ_k p(x, z_k) / q(z_k|x), z_k ~ q(z|x)

    Look at: the bound over K, beside the NLL of metric=generation; active units, of which it leaves more.
    """

    def __init__(
        self,
        noise: Noise,
        regularizers: Mapping[str, Regularizer],
        *,
        samples: Count = 5,
        gradient: Literal["standard", "doubly_reparameterized"] = "standard",
    ):
        super().__init__()
        if "kl" in regularizers:
            raise UsageError("samples: the bound contains the KL: leave kl out of the regularizers")
        self.corruption = noise
        self.regularizers = nn.ModuleDict(regularizers)
        self.samples = samples
        self.gradient = gradient

    @property
    def noise(self) -> Noise:
        """What corrupts the encoder's input in training."""
        return self.corruption

    @property
    def copies(self) -> int:
        """One for each code that is drawn."""
        return self.samples

    def check(self, model: Model) -> None:
        """Raises UsageError on a latent that draws no codes, or none with a density where the gradient needs one."""
        if model.latent.prior is None:
            raise UsageError(
                "samples are drawn codes, and this latent draws none: take latent=gaussian, or objective=additive"
            )
        if self.samples != 1 and model.likelihood.uses_batch:
            raise UsageError(
                f"samples={self.samples}: the mean squared error over all codes is not the best variance of this "
                "bound: take likelihood.estimate=learned"
            )
        if self.gradient != "standard" and not model.latent.reparameterized:
            raise UsageError(
                f"gradient={self.gradient} needs codes drawn from a density, which this latent relaxes: "
                "take objective.gradient=standard, or latent=gaussian or hyperspherical"
            )

    def forward(self, model: Model, batch: Batch) -> tuple[Terms, Pass]:
        """`bound`, the latent's own losses, and each penalty by its name."""
        double = self.gradient == "doubly_reparameterized" and torch.is_grad_enabled()
        weights, _, out = log_weights(model, batch, self.corrupt(batch), self.samples, doubly=double)
        value = bound(weights)
        if double:
            surrogate = (weights.detach().softmax(0) * weights).sum(0)
            value = surrogate + (value - surrogate).detach()
        terms = {"bound": -value, **out.code.losses}
        return terms | weigh_penalties(self.regularizers, out, model), out
