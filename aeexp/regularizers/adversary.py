"""Penalties of a critic that is trained beside the model, in the same backward pass. Weights are buffers."""

from __future__ import annotations

from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor

from aeexp.contracts import Model, Regularizer
from aeexp.errors import UsageError
from aeexp.models.nn.critic import Critic
from aeexp.ranges import Count, NonNegative
from aeexp.regularizers.needs import draw_prior, need_unbounded
from aeexp.tensors import whole_mean, whole_rows
from aeexp.types import Facts, Pass


@final
class Adversary(Regularizer):
    """What a critic reads off the codes that it should not, (B,); 0 or log 2 where it reads nothing.

    - `prior`: the critic tells codes from draws of the prior, and the encoder minimises -log D(z): log 2 where it
      cannot (adversarial autoencoder, Makhzani et al. 2016). A latent without a prior is held against N(0, I).
    - `attribute`, `label`: the critic predicts the attribute or label, and the encoder minimises the KL from the
      batch's shares of the values to the critic's answer, or, where the attribute is a quantity, the squared distance
      of the answer from the batch's mean: 0 where every row gets the same answer. Unlike the reversed gradient of
      fair codes (Edwards and Storkey 2016) it does not fade where the critic wins. Rows without a label count 0. The
      critic reads mean codes: what the noise of a drawn code hides, a probe of the mean reads all the same.

    Encoder and critic share the optimizer.

    Formula: prior: -log D(z); label, attribute: KL(shares in the batch ‖ critic(mean code))

    Look at: samples from the prior (plot=samples); what a probe still reads (metric=fairness): the critic may just be
    weak.
    """

    def __init__(
        self, weight: NonNegative, hidden_dims: list[Count], against: Literal["prior", "attribute", "label"] = "prior"
    ):
        super().__init__(weight)
        self.against = against
        self.holds_against_prior = against == "prior"
        self.hidden_dims = list(hidden_dims)

    def adapt(self, model: Model, facts: Facts) -> None:
        """The critic, as wide as what it predicts. Raises UsageError where the data have no such thing."""
        self.coded = self.against == "label" or facts.codes > 0
        counts = {"prior": 1, "attribute": facts.codes or facts.columns, "label": facts.classes}
        outputs = counts[self.against]
        if outputs < (2 if self.against != "prior" and self.coded else 1):
            numbers = self.against == "label" and facts.response is not None
            what = "the labels of these data are numbers, no classes" if numbers else "these data have none"
            raise UsageError(f"against={self.against}: {what}: take another data set, or against=prior")
        self.critic = Critic(model.latent.dim, self.hidden_dims, outputs)

    def forward(self, out: Pass, model: Model) -> Tensor:
        """(B,) what the encoder minimises; the critic is frozen."""
        scores = self.critic(self._code(out), frozen=True)
        if self.against == "prior":
            return F.softplus(-scores).squeeze(1)
        target, known = self._read(out)
        if not self.coded:
            return (scores - whole_mean(target.mean(0))).square().sum(1)
        counts = whole_rows(F.one_hot(target, scores.shape[1]) * known.unsqueeze(1)).sum(0)
        shares = counts / counts.sum().clamp(min=1)
        return (torch.special.xlogy(shares, shares) - shares * scores.log_softmax(1)).sum(1) * known

    def lesson(self, out: Pass, model: Model) -> Tensor:
        """(B,) the critic's error: no gradient reaches the codes."""
        z = self._code(out).detach()
        if self.against == "prior":
            drawn = draw_prior(model, z).detach()
            return (F.softplus(-self.critic(drawn)) + F.softplus(self.critic(z))).squeeze(1)
        target, known = self._read(out)
        if not self.coded:
            return (self.critic(z) - target).square().sum(1)
        return F.cross_entropy(self.critic(z), target, reduction="none") * known

    def _code(self, out: Pass) -> Tensor:
        return out.code.z if self.against == "prior" else out.code.mean

    def _read(self, out: Pass) -> tuple[Tensor, Tensor]:
        """What the critic is to predict, and what each row counts: 0 where it has none."""
        if not self.coded:
            return out.batch.attributes.view(len(out.code.z), -1).to(out.code.z), torch.ones_like(out.code.z[:, 0])
        if self.against == "label":
            return out.batch.labels.clamp(min=0), out.batch.label_weights
        values = out.batch.attributes.long()
        return values.clamp(min=0), (values >= 0).to(out.code.z)

    def check(self, model: Model) -> None:
        """Raises UsageError where codes cannot be held against a prior."""
        if self.against == "prior":
            need_unbounded("adversary", model)
