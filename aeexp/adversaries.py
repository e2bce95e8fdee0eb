"""Penalties of a critic that is trained beside the model, in the same backward pass. Weights are buffers."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.critics import Critic, taught
from aeexp.errors import require
from aeexp.types import Facts, Pass


class Adversary(nn.Module):
    """What a critic reads off the codes that it should not, (B,) nats.

    - `prior`: the critic tells codes from draws of the prior, and the encoder minimises -log D(z): log 2 where it
      cannot (adversarial autoencoder, Makhzani et al. 2016). A latent without a prior is held against N(0, I).
    - `attribute`, `label`: the critic predicts the attribute or label, and the encoder minimises minus its
      cross-entropy, or minus its squared error where the attribute is a quantity (gradient reversal, Ganin et al.
      2016; fair codes, Edwards and Storkey 2016). Rows without a label count 0.

    Encoder and critic share the optimizer.
    """

    weight: Tensor

    def __init__(
        self, weight: float, hidden_dims: list[int], against: Literal["prior", "attribute", "label"] = "prior"
    ):
        super().__init__()
        require(weight >= 0, f"weight={weight} must not be negative")
        self.against = against
        self.hidden_dims = list(hidden_dims)
        self.register_buffer("weight", torch.tensor(float(weight)))

    def sized(self, model: nn.Module, facts: Facts) -> None:
        """Called once, when model and data are known."""
        self.coded = self.against == "label" or facts.codes > 0
        counts = {"prior": 1, "attribute": facts.codes or facts.columns, "label": facts.classes}
        outputs = counts[self.against]
        words = f"against={self.against}: these data have none: take another data set, or against=prior"
        require(outputs >= (2 if self.against != "prior" and self.coded else 1), words)
        self.critic = Critic(model.latent.dim, self.hidden_dims, outputs)

    @property
    def holds_against_prior(self) -> bool:
        return self.against == "prior"

    def forward(self, out: Pass, model: nn.Module) -> Tensor:
        if self.against == "prior":
            return self._against_prior(out.code.z, model)
        lesson = self._error(self.critic(out.code.z.detach()), out)
        return taught(-self._error(self.critic(out.code.z, frozen=True), out), lesson, self.weight)

    def _against_prior(self, z: Tensor, model: nn.Module) -> Tensor:
        prior = getattr(model.latent, "prior", None)
        drawn = torch.randn_like(z) if prior is None else prior.sample(len(z), model).detach()
        true, false = self.critic(drawn), self.critic(z.detach())
        lesson = (F.softplus(-true) + F.softplus(false)).squeeze(1)
        return taught(F.softplus(-self.critic(z, frozen=True)).squeeze(1), lesson, self.weight)

    def _error(self, scores: Tensor, out: Pass) -> Tensor:
        """(B,) nats, or squared error of quantities."""
        if not self.coded:
            return (scores - out.batch.s.view(len(scores), -1)).square().sum(1)
        known = out.batch.y if self.against == "label" else out.batch.s
        return F.cross_entropy(scores, known.long().clamp(min=0), reduction="none") * (known >= 0)

    def check(self, model: nn.Module) -> None:
        """Acts on any code."""
