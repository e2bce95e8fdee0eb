"""Importance weights of codes: what the bound of IWAE and the estimate of log p(x) are made of."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aeexp.contracts import Model
from aeexp.types import Batch, Pass


def log_weights(
    model: Model, batch: Batch, x: Tensor, samples: int, *, doubly: bool = False
) -> tuple[Tensor, Tensor, Pass]:
    """log p(x|z) + log p(z) - log q(z|x) for `samples` codes a row, (K, B) in nats; the codes (K, B, D); one pass.

    The likelihood is without its constant. `doubly` prepares the doubly reparameterised gradient (Tucker et al. 2019,
    equation 8): no gradient to q's parameters through log q, and what reaches them through a code is scaled by its
    normalised weight. The weights are found by a first pass without gradient: a hook on the codes would save it, and
    keep a stack of models from being trained at once.
    """
    context = model.condition(batch)
    code, prior = model.encode(x, context, batch.mask), model.latent.prior
    if prior is None:
        raise ValueError("importance weights are those of drawn codes")
    posterior = code.posterior.detach() if doubly else code.posterior
    target = batch.targets.repeat(samples, *[1] * (batch.targets.dim() - 1))
    mask = None if batch.mask is None else batch.mask.repeat(samples, 1)
    contexts = None if context is None else context.repeat(samples, 1)
    skips = tuple(maps.repeat(samples, 1, 1, 1) for maps in code.skips)

    def weigh(z: Tensor) -> tuple[Tensor, Tensor]:
        output = model.explain(z.flatten(0, 1), contexts, batch._replace(target=target, mask=mask), skips)
        log_likelihood = -model.likelihood.distortion(output, target, mask).unflatten(0, (samples, -1))
        return log_likelihood + prior.log_prob(z, model) - posterior.log_prob(z), output

    z = drawn = code.posterior.sample(samples)
    if doubly:
        with torch.no_grad():
            share = weigh(drawn)[0].softmax(0).unsqueeze(-1)
        z = drawn.detach() + share * (drawn - drawn.detach())
    weights, output = weigh(z)
    return weights, drawn, Pass(batch, x, context, code._replace(z=drawn[0]), output[: len(x)])


def bound(log_weights: Tensor) -> Tensor:
    """(B,) log of the mean weight: a lower bound of log p(x) that rises with K (Burda et al. 2016, equation 8)."""
    return torch.logsumexp(log_weights, 0) - math.log(len(log_weights))
