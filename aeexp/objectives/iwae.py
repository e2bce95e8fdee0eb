"""The importance weighted bound, and those that are made of several or of it and the ELBO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, final

import torch
from torch import Tensor, nn

from aeexp.contracts import Model, Noise, Objective, Regularizer
from aeexp.errors import UsageError
from aeexp.objectives.additive import weigh_penalties
from aeexp.objectives.bounds import Shares, bound, log_weights, mean_bound
from aeexp.ranges import Count, Probability
from aeexp.types import Batch, Pass, Terms

FURTHEST = 80.0  # nats between two groups of codes of a row: beyond, float32 holds no ratio of their weights


@final
class ImportanceWeighted(Objective):
    """The negative bound of IWAE with `samples` codes a row, in nats without the likelihood's constant; 1 is the ELBO.

    The log-ratio of prior and posterior is that of the sample, never the closed form, which would take K out of it.
    `gradient`: standard (Burda et al. 2016), or doubly_reparameterized (Tucker et al. 2019), whose signal-to-noise
    ratio does not fall with K. Further regularizers act on the first of the codes.

    With K the encoder's gradient drowns in noise (Rainforth et al. 2018), which the other bounds of that paper mend:
    `miwae` is the mean over `groups` of the bound of `samples` codes each; `piwae` gives the encoder that gradient, and
    the decoder that of one bound of all codes, which is the value that is told; `ciwae` is `beta` times the ELBO plus
    1 - beta times IWAE's.

    Formula: -log 1/K Σ_k p(x, z_k) / q(z_k|x), z_k ~ q(z|x); miwae: its mean over M groups of K;
    ciwae: β ELBO + (1 - β) of it

    Look at: the bound over K, beside the NLL of metric=generation; active units, of which it leaves more.
    """

    beta: Tensor

    def __init__(
        self,
        noise: Noise,
        regularizers: Mapping[str, Regularizer],
        *,
        samples: Count = 5,
        gradient: Literal["standard", "doubly_reparameterized"] = "standard",
        kind: Literal["iwae", "miwae", "piwae", "ciwae"] = "iwae",
        groups: Count = 4,
        beta: Probability = 0.5,
    ):
        super().__init__()
        if "kl" in regularizers:
            raise UsageError("samples: the bound contains the KL: leave kl out of the regularizers")
        if gradient != "standard" and kind in ("piwae", "ciwae"):
            raise UsageError(
                f"gradient={gradient} is that of one kind of bound, and kind={kind} is made of two: take "
                "objective.gradient=standard, or objective.kind=miwae"
            )
        self.corruption = noise
        self.regularizers = nn.ModuleDict(regularizers)
        self.samples = samples
        self.gradient = gradient
        self.kind = kind
        self.groups = groups if kind in ("miwae", "piwae") else 1
        self.register_buffer("beta", torch.tensor(float(beta)))

    @property
    def noise(self) -> Noise:
        """What corrupts the encoder's input in training."""
        return self.corruption

    @property
    def copies(self) -> int:
        """One for each code that is drawn."""
        return self.samples * self.groups

    def check(self, model: Model) -> None:
        """Raises UsageError on a latent that draws no codes, or none with a density where the gradient needs one."""
        if model.latent.prior is None:
            raise UsageError(
                "samples are drawn codes, and this latent draws none: take latent=gaussian, or objective=additive"
            )
        if self.copies != 1 and model.likelihood.uses_batch:
            many = f"samples={self.samples}" if self.samples > 1 else f"groups={self.groups}"
            raise UsageError(
                f"{many}: the mean squared error over all codes is not the best variance of this "
                "bound: take likelihood.estimate=learned"
            )
        if self.gradient != "standard" and not model.latent.reparameterized:
            raise UsageError(
                f"gradient={self.gradient} needs codes drawn from a density, which this latent relaxes: "
                "take objective.gradient=standard, or latent=gaussian or hyperspherical"
            )

    def forward(self, model: Model, batch: Batch) -> tuple[Terms, Pass]:
        """`bound`, the latent's own losses, and each penalty by its name."""
        learns = torch.is_grad_enabled()
        double = self.gradient == "doubly_reparameterized" and learns
        shares: dict[str, Shares] = {"doubly": self.share} if double else {}
        if self.kind == "piwae" and learns:
            shares = {"apart": self.compare}
        weights, _, out = log_weights(model, batch, self.corrupt(batch), self.copies, **shares)
        value = self.measure(weights)
        if double:
            surrogate = (self.share(weights.detach()) * weights).sum(0) / self.groups
            value = surrogate + (value - surrogate).detach()
        terms = {"bound": -value, **out.code.losses}
        return terms | weigh_penalties(self.regularizers, out, model), out

    def measure(self, weights: Tensor) -> Tensor:
        """(B,) the bound of log-weights (K, B)."""
        if self.kind == "miwae":
            return mean_bound(weights, self.groups)
        if self.kind == "ciwae":
            return self.beta * weights.mean(0) + (1 - self.beta) * bound(weights)
        return bound(weights)

    def share(self, weights: Tensor) -> Tensor:
        """(K, B) each code's part of the weight of its group."""
        return weights.unflatten(0, (self.groups, -1)).softmax(1).flatten(0, 1)

    def compare(self, weights: Tensor) -> Tensor:
        """(K, B) a code's part in the mean of the groups' bounds, over its part in the bound of all."""
        groups = weights.unflatten(0, (self.groups, -1))
        ahead = (weights.logsumexp(0) - groups.logsumexp(1)).clamp(max=FURTHEST).exp() / self.groups
        return ahead.repeat_interleave(groups.shape[1], 0)
