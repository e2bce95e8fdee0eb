"""KL from the posterior to the prior. Weights are buffers."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from aeexp.contracts import Examples, Model, Regularizer
from aeexp.errors import UsageError
from aeexp.ranges import Count, NonNegative
from aeexp.regularizers.needs import need_prior
from aeexp.tensors import whole_mean
from aeexp.types import Pass


@final
class KL(Regularizer):
    """KL from the posterior to the latent's prior, nats per example; weight 1 (beta) makes the loss the negative ELBO
    (Kingma and Welling 2014, appendix B; beta: Higgins et al. 2017, equation 4).

    `warmup` scales the weight from 0 to 1 over `warmup_steps`, once (linear, Bowman et al. 2016) or again and again
    with half of each period at 1 (cyclic, Fu et al. 2019). `free_bits` is the least number of nats that each unit (of
    a categorical code each group, of a spherical one the whole) costs on average over the batch (Kingma et al. 2016).
    Where the KL does not fall into units (priors mixture, flow and vamp; posteriors of flows) it is the least of the
    whole code. `capacity`
    replaces KL by |KL - C| of the batch's mean, where C rises to `capacity` nats over `warmup_steps` (Burgess et al.
    2018). In evaluation weight and capacity are those of the end, so that losses of different steps can be compared.

    Formula: KL(q(z|x) ‖ p(z)); latent=gaussian under N(0, I): ½ Σ_j (μ_j² + σ_j² - log σ_j² - 1)

    Look at: KL of each unit and how many carry anything (latent/kl, latent/active_units): at 0 the code has collapsed.
    """

    free_bits: Tensor
    capacity: Tensor | None
    progress: Tensor

    def __init__(
        self,
        weight: NonNegative = 1.0,
        warmup: Literal["none", "linear", "cyclic"] = "none",
        warmup_steps: Count = 1000,
        free_bits: NonNegative = 0.0,
        capacity: NonNegative | None = None,
    ):
        super().__init__(weight)
        if capacity is not None and free_bits != 0:
            raise UsageError(
                f"capacity={capacity} holds the whole KL, and free_bits={free_bits} a part of it: set one of them only"
            )
        self.warmup = warmup
        self.warmup_steps = warmup_steps
        self.register_buffer("capacity", None if capacity is None else torch.tensor(float(capacity)))
        self.register_buffer("free_bits", torch.tensor(float(free_bits)))
        self.register_buffer("progress", torch.tensor(1.0))

    def scale(self) -> Tensor:
        """() the weight, or in a warm-up as much of it as acts at this step."""
        return self.weight * self.progress if self.training and self.warmup != "none" else self.weight

    def before_step(self, model: Model, split: Examples, step: int) -> None:
        """How far the warm-up is."""
        share = step / self.warmup_steps
        self.progress.fill_(min(1.0, 2 * (share % 1)) if self.warmup == "cyclic" else min(1.0, share))

    def readings(self) -> dict[str, Tensor]:
        """The weight in a warm-up."""
        return {} if self.warmup == "none" else {"kl_weight": self.scale()}

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) nats; () under a capacity."""
        units = need_prior("kl", model).kl(out.code.posterior, out.code.z, model)
        if self.capacity is not None:
            allowed = self.capacity * (self.progress if self.training else 1.0)
            return (whole_mean(units.sum(1).mean()) - allowed).abs()
        # At 0 free bits the rows are kept; else a unit below its minimum has no gradient.
        floored = torch.maximum(whole_mean(units.mean(0)), self.free_bits)
        return torch.where(self.free_bits > 0, floored.sum().expand(len(units)), units.sum(1))

    def check(self, model: Model) -> None:
        """Raises UsageError where the code is not stochastic."""
        need_prior("kl", model)
