"""The one model class; what differs between autoencoders is which parts it is given."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aeexp.errors import UsageError
from aeexp.types import Batch, Code, Latent, Likelihood, Pass


class Autoencoder(nn.Module):
    """Encoder, latent, decoder and likelihood, none of which knows the others.

    Pictures and codes are tensors (B, *shape) and (B, D); `encode`, `decode`, `reconstruct` and `sample` are
    what a finished run offers (`aeexp.load`). The forward pass is pure: parameters, buffers and batch decide it.
    """

    code_mean: Tensor
    code_scale: Tensor

    def __init__(
        self, encoder: nn.Module, latent: Latent, decoder: nn.Module, likelihood: Likelihood, condition: nn.Module
    ):
        super().__init__()
        self.encoder = encoder
        self.latent = latent
        self.decoder = decoder
        self.likelihood = likelihood
        if self.autoregressive:
            decoder.feedback = likelihood.mean
        self.condition = condition
        self.shown = "mean"  # what `decode` shows of the likelihood; of classes, which have no mean, the "mode"
        self.register_buffer("code_mean", torch.zeros(latent.dim))
        self.register_buffer("code_scale", torch.eye(latent.dim))

    @property
    def autoregressive(self) -> bool:
        """Whether the decoder predicts each step from those before it."""
        return hasattr(self.decoder, "forced")

    def encode(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Code:
        """`mask` (B, T) says which steps of a padded sequence are real."""
        self._need(context)
        h = self.encoder(x, context, mask)
        if isinstance(h, tuple):
            return self.latent(h[0])._replace(skips=h[1])
        return self.latent(h)

    def decode(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """(B, *shape) the likelihood's mean: pixels in the units of the data; of masks the class c of C as c / (C - 1).

        A code alone has no `skips`: where the decoder takes some (unet) they are 0 then.
        """
        self._need(context)
        return getattr(self.likelihood, self.shown)(self.parameters_of(z, context, skips))

    def parameters_of(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """Parameters of the likelihood given the code alone, and the maps that went round it."""
        return self.decoder(z, context, skips) if skips else self.decoder(z, context)

    def _need(self, context: Tensor | None) -> None:
        size = self.condition.size
        if size != 0 and context is None:
            raise UsageError(
                f"this model was trained with side information: give context (B, {size}), one-hot for labels"
            )

    def explain(
        self, z: Tensor, context: Tensor | None, batch: Batch, skips: tuple[Tensor, ...] = ()
    ) -> Tensor:  # fmt: skip
        """Parameters of p(target | z) for the likelihood; an autoregressive decoder is given the true past.

        Other decoders give the same as from the code alone.
        """
        if self.autoregressive:
            return self.decoder.forced(z, context, batch.target)
        return self.parameters_of(z, context, skips)

    def forward(self, batch: Batch, x: Tensor | None = None) -> Pass:
        """`x` is the corrupted input, if there is one; the decoder gets the code z."""
        x = batch.x if x is None else x
        context = self.condition(batch)
        code = self.encode(x, context, batch.mask)
        return Pass(batch, x, context, code, self.explain(code.z, context, batch, code.skips))

    def reconstruct(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """From the mean code: the same picture at every call."""
        code = self.encode(x, context, mask)
        return self.decode(code.mean, context, code.skips)

    def sample(self, n: int, context: Tensor | None = None) -> Tensor:
        """(n, *shape) from the prior where the latent has one, else from the Gaussian of the training codes."""
        return self.decode(self.sample_codes(n), context)

    def sample_codes(self, n: int) -> Tensor:
        """(n, D) as `sample` draws them."""
        if hasattr(self.latent, "prior"):
            return self.latent.prior.sample(n, self)
        noise = torch.randn(n, len(self.code_mean), device=self.code_mean.device)
        return self.valid_codes(self.code_mean + noise @ self.code_scale.T)

    def valid_codes(self, z: Tensor) -> Tensor:
        """(..., D) made-up codes brought to the nearest ones that the latent can give."""
        project = getattr(self.latent, "project", None)
        return z if project is None else project(z)

    @torch.no_grad()
    def fit_codes(self, codes: Tensor) -> None:
        """Remember mean and covariance of codes (N, D); units that never vary stay at their mean."""
        self.code_mean.copy_(codes.mean(0))
        centred = (codes - self.code_mean).cpu().double() / math.sqrt(max(len(codes) - 1, 1))
        values, vectors = torch.linalg.eigh(centred.T @ centred)
        self.code_scale.copy_(vectors * values.clamp(min=0).sqrt())
