"""Importance weights of codes: what the bound of IWAE and the estimate of log p(x) are made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aeexp.model import Autoencoder
from aeexp.types import Batch, Pass


def log_weights(
    model: Autoencoder, batch: Batch, x: Tensor, samples: int, *, detach_posterior: bool = False
) -> tuple[Tensor, Tensor, Pass]:
    """log p(x|z) + log p(z) - log q(z|x) for `samples` codes a row, (K, B) in nats; the codes (K, B, D); one pass.

    The likelihood is without its constant. `detach_posterior` leaves the parameters of q out of log q, as the doubly
    reparameterised gradient wants it.
    """
    context = model.condition(batch)
    code = model.encode(x, context, batch.mask)
    z = code.posterior.sample(samples)
    target = batch.target.repeat(samples, *[1] * (batch.target.dim() - 1))
    mask = None if batch.mask is None else batch.mask.repeat(samples, 1)
    contexts = None if context is None else context.repeat(samples, 1)
    output = model.explain(z.flatten(0, 1), contexts, batch._replace(target=target, mask=mask))
    log_likelihood = -model.likelihood.distortion(output, target, mask).unflatten(0, (samples, -1))
    posterior = code.posterior.detached() if detach_posterior else code.posterior
    log_ratio = model.latent.prior.log_prob(z, model) - posterior.log_prob(z)
    first = Pass(batch, x, context, code._replace(z=z[0]), output[: len(x)])
    return log_likelihood + log_ratio, z, first


def bound(log_weights: Tensor) -> Tensor:
    """(B,) log of the mean weight: a lower bound of log p(x) that rises with K (Burda et al. 2016, equation 8)."""
    return torch.logsumexp(log_weights, 0) - math.log(len(log_weights))
