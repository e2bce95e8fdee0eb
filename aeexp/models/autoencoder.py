"""The one model class; what differs between autoencoders is which parts it is given."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from aeexp.contracts import Condition, Decoder, Encoder, Latent, Likelihood, Model
from aeexp.errors import UsageError
from aeexp.models.precision import run_in
from aeexp.types import Batch, Code, Pass


@final
class Autoencoder(Model):
    """Encoder, latent, decoder and likelihood, none of which knows the others.

    Pictures and codes are tensors (B, *shape) and (B, D); `encode`, `decode`, `reconstruct` and `sample` are
    what a finished run offers (`aeexp.load`). The forward pass is pure: parameters, buffers and batch decide it.
    """

    code_mean: Tensor
    code_scale: Tensor

    def __init__(
        self,
        encoder: Encoder,
        latent: Latent,
        decoder: Decoder,
        likelihood: Likelihood,
        condition: Condition,
        masks: bool = False,
    ):
        super().__init__()
        self.encoder = encoder
        self.latent = latent
        self.decoder = decoder
        self.likelihood = likelihood
        self.condition = condition
        self.reduced: torch.dtype | None = None  # in which encoder and decoder compute in training; None: as they are
        self.masks = masks  # whether it decodes classes (or text), which have no mean: `decode` shows the most probable
        self.register_buffer("code_mean", torch.zeros(latent.dim))
        # `torch.eye` without memory, as a run that is loaded builds it first, takes two seconds for torch's compiler
        self.register_buffer("code_scale", torch.zeros(latent.dim, latent.dim).fill_diagonal_(1))

    def encode(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Code:
        """`mask` (B, T) says which steps of a padded sequence are real; no `context` where the encoder is told none."""
        if self.condition.told != 0:
            self._need(context)
        h = run_in(self._dtype, self.encoder, x, context if self.condition.told else None, mask)
        if isinstance(h, tuple):
            return self.latent(h[0])._replace(skips=h[1])
        return self.latent(h)

    def decode(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """(B, *shape) the likelihood's mean: pixels in the units of the data; of masks the class c of C as c / (C - 1),
        and so the tokens of text.

        A code alone has no `skips`: where the decoder takes some (unet) they are 0 then.
        """
        self._need(context)
        output = self.parameters_of(z, context, skips)
        return self.likelihood.mode(output) if self.masks else self.likelihood.mean(output)

    def parameters_of(self, z: Tensor, context: Tensor | None = None, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """Parameters of the likelihood given the code alone, and the maps that went round it."""
        return run_in(self._dtype, self.decoder.run_free, z, context, skips, self.likelihood)

    @property
    def _dtype(self) -> torch.dtype | None:
        return self.reduced if self.training else None

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
        if self.decoder.autoregressive:
            return run_in(self._dtype, self.decoder.force, z, context, batch.targets, skips)
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
        if self.latent.prior is not None:
            return self.latent.prior.sample(n, self)
        noise = torch.randn(n, len(self.code_mean), device=self.code_mean.device)
        return self.latent.project(self.code_mean + noise @ self.code_scale.T)

    @torch.no_grad()
    def fit_codes(self, codes: Tensor) -> None:
        """Remember mean and covariance of codes (N, D); units that never vary stay at their mean."""
        self.code_mean.copy_(codes.mean(0))
        covariance, scale = torch.zeros(codes.shape[1], codes.shape[1], dtype=torch.float64), max(len(codes) - 1, 1)
        for part in codes.split(65_536):  # copies of millions of rows would be the largest thing in memory
            centred = (part - self.code_mean).cpu().double() / math.sqrt(scale)
            covariance += centred.T @ centred
        values, vectors = torch.linalg.eigh(covariance)
        self.code_scale.copy_(vectors * values.clamp(min=0).sqrt())
