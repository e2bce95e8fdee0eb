"""What a page computes of a trained model, each as a module of one row."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from aeexp.evaluation.paths import slerp
from aeexp.latents.posteriors import Normal
from aeexp.models.autoencoder import Autoencoder
from aeexp.models.learner import Learner
from aeexp.types import Batch


@final
class Decoding(nn.Module):
    """A made-up code (1, D) -> the nearest that the latent can give, and its picture (1, *shape)."""

    def __init__(self, model: Autoencoder):
        super().__init__()
        self.model = model

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Code and picture."""
        z = self.model.latent.project(z)
        return z, self.model.decode(z, context)


@final
class Reconstruction(nn.Module):
    """A row (1, *shape) -> its mean code, the deviation of a Gaussian posterior (else zeros), and its picture."""

    def __init__(self, model: Autoencoder):
        super().__init__()
        self.model = model

    def forward(
        self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Code, deviation and picture."""
        code = self.model.encode(x, context, mask)
        normal = isinstance(code.posterior, Normal)
        deviation = (0.5 * code.posterior.log_var).exp() if normal else torch.zeros_like(code.mean)
        return code.mean, deviation, self.model.decode(code.mean, context, code.skips)


@final
class Way(nn.Module):
    """Codes a and b (1, D) and a share (1, 1) -> the latent's own way between them and the arc, as codes."""

    def __init__(self, model: Autoencoder):
        super().__init__()
        self.latent = model.latent

    def forward(self, a: Tensor, b: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """(1, D) each."""
        latent = self.latent
        return latent.project(latent.between(a, b, share)), latent.project(slerp(a, b, share))


@final
class Labelling(nn.Module):
    """A row (1, *shape) -> the side information (1, C) that the objective finds itself."""

    def __init__(self, learner: Learner):
        super().__init__()
        self.learner = learner

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """(1, C)."""
        context = self.learner.context(Batch(x, y=torch.zeros(1, dtype=torch.int64)))
        assert context is not None, "an objective that infers labels has a model that is told them"
        return (context,)
