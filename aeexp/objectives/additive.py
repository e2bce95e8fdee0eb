"""The loss of most autoencoders: distortion plus weighted penalties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from aeexp.contracts import Model, Noise, Objective, Regularizer
from aeexp.errors import UsageError
from aeexp.ranges import NonNegative
from aeexp.types import Batch, Pass, Terms


@final
class Additive(Objective):
    """Distortion of the reconstruction of the corrupted input (Vincent et al. 2010), plus weighted penalties
    (Goodfellow et al. 2016, section 14.2).

    Noise acts in training mode only; everything else is the same in evaluation. `reconstruction_weight` 0 leaves the
    penalties alone: with regularizer=classifier a supervised network.

    Formula: reconstruction_weight × (-log p(x | z(noise(x)))) + Σ weight × penalty

    Look at: each term beside the loss (plot=curves): which one falls at the cost of which.
    """

    reconstruction_weight: Tensor

    def __init__(
        self, noise: Noise, regularizers: Mapping[str, Regularizer], *, reconstruction_weight: NonNegative = 1.0
    ):
        super().__init__()
        if reconstruction_weight == 0 and not regularizers:
            raise UsageError(
                f"reconstruction_weight={reconstruction_weight} leaves nothing to learn: name a regularizer, as in "
                "regularizer=[classifier]"
            )
        self.register_buffer("reconstruction_weight", torch.tensor(float(reconstruction_weight)))
        self.corruption = noise
        self.regularizers = nn.ModuleDict(regularizers)

    @property
    def noise(self) -> Noise:
        """What corrupts the encoder's input in training."""
        return self.corruption

    def forward(self, model: Model, batch: Batch) -> tuple[Terms, Pass]:
        """`reconstruction`, the latent's own losses, and each penalty by its name."""
        out = model(batch, self.corrupt(batch))
        return self._weigh(model, out) | weigh_penalties(self.regularizers, out, model), out

    def read_terms(self, model: Model, out: Pass) -> Terms | None:
        """Without penalties, which may draw; a decoder that sees the true past gives another output here."""
        return None if len(self.regularizers) or model.decoder.autoregressive else self._weigh(model, out)

    def _weigh(self, model: Model, out: Pass) -> Terms:
        reconstruction = model.likelihood.distortion(out.output, out.batch.targets, out.batch.mask)
        return {"reconstruction": self.reconstruction_weight * reconstruction, **out.code.losses}


def weigh_penalties(regularizers: nn.ModuleDict, out: Pass, model: Model) -> Terms:
    """The weighted penalties on a pass by name."""
    return {name: part.term(out, model) for name, part in regularizers.items() if isinstance(part, Regularizer)}
