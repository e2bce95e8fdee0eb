"""The loss of most autoencoders: distortion plus weighted penalties."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from aeexp.errors import UsageError
from aeexp.models.autoencoder import Autoencoder
from aeexp.types import Batch, Pass, Terms


class Additive(nn.Module):
    """Distortion of the reconstruction of the corrupted input (Vincent et al. 2010), plus weighted penalties
    (Goodfellow et al. 2016, section 14.2).

    Noise acts in training mode only; everything else is the same in evaluation. `reconstruction_weight` 0 leaves the
    penalties alone: with regularizer=classifier a supervised network.

    Formula: reconstruction_weight × (-log p(x | z(noise(x)))) + Σ weight × penalty

    Look at: each term beside the loss (plot=curves): which one falls at the cost of which.
    """

    reconstruction_weight: Tensor

    def __init__(self, noise: nn.Module, regularizers: Mapping[str, nn.Module], *, reconstruction_weight: float = 1.0):
        super().__init__()
        if not reconstruction_weight >= 0:
            raise UsageError(f"reconstruction_weight={reconstruction_weight} must not be negative")
        words = f"reconstruction_weight={reconstruction_weight} leaves nothing to learn: name a regularizer"
        if not reconstruction_weight > 0 and len(regularizers) <= 0:
            raise UsageError(f"{words}, as in regularizer=[classifier]")
        self.register_buffer("reconstruction_weight", torch.tensor(float(reconstruction_weight)))
        self.noise = noise
        self.regularizers = nn.ModuleDict(regularizers)

    def forward(self, model: Autoencoder, batch: Batch) -> tuple[Terms, Pass]:
        out = model(batch, self.corrupted(batch) if self.training else batch.x)
        reconstruction = model.likelihood.distortion(out.output, batch.target, batch.mask)
        terms = {"reconstruction": self.reconstruction_weight * reconstruction, **out.code.losses}
        for name, penalty in self.regularizers.items():
            terms[name] = penalty.weight * penalty(out, model)
        return terms, out

    def corrupted(self, batch: Batch) -> Tensor:
        """The input under noise; what follows the end of a sequence stays 0."""
        x = self.noise(batch.x)
        return x if batch.mask is None else x * batch.mask.unsqueeze(-1)
