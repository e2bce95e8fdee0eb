"""Importance weights of codes: what the bounds of IWAE's family and the estimate of log p(x) are made of."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from aeexp.contracts import Model
from aeexp.types import Batch, Pass

Shares = Callable[[Tensor], Tensor]  # log-weights (K, B) to what gradients through a code are multiplied by, (K, B)


def log_weights(
    model: Model, batch: Batch, x: Tensor, samples: int, *, doubly: Shares | None = None, apart: Shares | None = None
) -> tuple[Tensor, Tensor, Pass]:  # fmt: skip
    """log p(x|z) + log p(z) - log q(z|x) for `samples` codes a row, (K, B) in nats; the codes (K, B, D); one pass.

    The likelihood is without its constant. `doubly` prepares the doubly reparameterised gradient (Tucker et al. 2019,
    equation 8): no gradient to q's parameters through log q, and what reaches them through a code is scaled by its
    normalised weight, which `doubly` tells. `apart` scales all that reaches q's parameters, through the code and
    through log q, so that encoder and decoder follow different bounds (Rainforth et al. 2018). Weights are found by a
    first pass without gradient: a hook on the codes would save it, and keep a stack of models from being trained at
    once.
    """
    context = model.condition(batch)
    code, prior = model.encode(x, context, batch.mask), model.latent.prior
    if prior is None:
        raise ValueError("importance weights are those of drawn codes")
    target = batch.targets.repeat(samples, *[1] * (batch.targets.dim() - 1))
    mask = None if batch.mask is None else batch.mask.repeat(samples, 1)
    contexts = None if context is None else context.repeat(samples, 1)
    skips = tuple(maps.repeat(samples, 1, 1, 1) for maps in code.skips)

    def weigh(z: Tensor, nats: Tensor) -> tuple[Tensor, Tensor]:
        output = model.explain(z.flatten(0, 1), contexts, batch._replace(target=target, mask=mask), skips)
        log_likelihood = -model.likelihood.distortion(output, target, mask).unflatten(0, (samples, -1))
        return log_likelihood + prior.log_prob(z, model) - nats, output

    drawn, nats = code.posterior.draw(samples)
    z, shares = drawn, doubly or apart
    if shares is not None:
        with torch.no_grad():
            share = shares(weigh(drawn, nats)[0])
        z = _scale(drawn, share.unsqueeze(-1))
        nats = code.posterior.detach().log_prob(z) if doubly else _scale(nats, share)
    weights, output = weigh(z, nats)
    return weights, drawn, Pass(batch, x, context, code._replace(z=drawn[0]), output[: len(x)])


def bound(log_weights: Tensor) -> Tensor:
    """(B,) log of the mean weight: a lower bound of log p(x) that rises with K (Burda et al. 2016, equation 8)."""
    return torch.logsumexp(log_weights, 0) - math.log(len(log_weights))


def mean_bound(log_weights: Tensor, groups: int) -> Tensor:
    """(B,) the mean of the bounds that so many equal groups of the weights (K, B) give."""
    each = log_weights.unflatten(0, (groups, -1))
    return (torch.logsumexp(each, 1) - math.log(each.shape[1])).mean(0)


def _scale(value: Tensor, share: Tensor) -> Tensor:
    """The same value with its gradient multiplied."""
    return value.detach() + share * (value - value.detach())
