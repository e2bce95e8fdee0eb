"""p(z): what a stochastic code is held against, and what new codes are drawn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from aeexp.contracts import Examples, Model, Posterior, Prior
from aeexp.latents.bounded_posteriors import Categorical, PowerSpherical
from aeexp.latents.flows import make_chain
from aeexp.latents.posteriors import Normal, standard_log_prob
from aeexp.ranges import Count, Depth

AT_ONCE = 2**24  # differences of codes and pseudo-inputs: 64 MB, where all of 50 codes a row would take 4 GB


@final
class Standard(Prior):
    """N(0, I) (Kingma and Welling 2014).

    Formula: log p(z) = -½ (|z|² + D log 2π)
    """

    dim: int

    def adapt(self, dim: int, shape: Sequence[int], context: int = 0) -> None:
        """Called once, when the widths of code, rows and side information are known."""
        self.dim = dim

    def log_prob(self, z: Tensor, model: Model) -> Tensor:
        """(..., B) nats for codes (..., B, D)."""
        return standard_log_prob(z)

    def kl(self, posterior: Posterior, z: Tensor, model: Model) -> Tensor:
        """(B, D) nats, in closed form where the posterior has one; else (B, 1) from the sample z."""
        return posterior.kl_to_standard() if isinstance(posterior, Normal) else super().kl(posterior, z, model)

    def sample(self, n: int, model: Model) -> Tensor:
        """(n, D) codes."""
        return torch.randn(n, self.dim, device=next(model.parameters()).device)


@final
class Uniform(Prior):
    """The uniform law over the latent's space, which the latent knows: sphere (Davidson et al. 2018), or groups of
    one-hot units (Jang et al. 2017).

    Formula: p(z) = 1 / area of the sphere; 1 / classes for each group
    """

    spaces: ClassVar = ("sphere", "onehot")

    def log_prob(self, z: Tensor, model: Model) -> Tensor:
        """(..., B) nats for codes (..., B, D)."""
        return model.latent.uniform_log_prob(z)

    def kl(self, posterior: Posterior, z: Tensor, model: Model) -> Tensor:
        """(B, G) nats in closed form, group by group; a sphere is one group."""
        if isinstance(posterior, PowerSpherical | Categorical):
            return posterior.kl_to_uniform()
        return super().kl(posterior, z, model)

    def sample(self, n: int, model: Model) -> Tensor:
        """(n, D) codes, of the latent's space."""
        return model.latent.uniform(n, next(model.parameters()))


@final
class Mixture(Prior):
    """A mixture of `components` Gaussians whose weights, means and variances are learned with the model (as in
    Tomczak and Welling 2018).

    Formula: p(z) = Σ_c π_c N(z; m_c, diag(v_c))
    """

    def __init__(self, components: Count = 10):
        super().__init__()
        self.components = components

    def adapt(self, dim: int, shape: Sequence[int], context: int = 0) -> None:
        """Components of that width; those that start alike stay alike: their means are drawn."""
        self.mean = nn.Parameter(torch.randn(self.components, dim))
        self.log_var = nn.Parameter(torch.zeros(self.components, dim))
        self.logits = nn.Parameter(torch.zeros(self.components))

    def log_prob(self, z: Tensor, model: Model) -> Tensor:
        """(..., B) nats for codes (..., B, D)."""
        each = Normal(self.mean, self.log_var).log_prob(z.unsqueeze(-2))  # (..., B, components)
        return (each + self.logits.log_softmax(0)).logsumexp(-1)

    def sample(self, n: int, model: Model) -> Tensor:
        """(n, D) codes."""
        chosen = torch.multinomial(self.logits.softmax(0), n, replacement=True)
        return Normal(self.mean[chosen], self.log_var[chosen]).sample()


@final
class Flow(Prior):
    """N(0, I) seen through an invertible network that is learned with the model (as in Chen et al. 2017).

    `coupling` layers (RealNVP, Dinh et al. 2017) are one pass either way; `autoregressive` ones (masked autoregressive
    flow, Papamakarios et al. 2017) fit better, and draw unit by unit. The KL is that of the drawn code.

    Formula: log p(z) = log N(T(z); 0, I) + log |det ∂T/∂z|

    Look at: generation/nll beside that of latent/prior=standard; latent/kl; samples from the prior (plot=samples).
    """

    def __init__(self, kind: Literal["coupling", "autoregressive"] = "coupling", layers: Depth = 4, hidden: Count = 64):
        super().__init__()
        self.kind = kind
        self.layers = layers
        self.hidden = hidden

    def adapt(self, dim: int, shape: Sequence[int], context: int = 0) -> None:
        """Layers of that width."""
        self.dim = dim
        self.flow = make_chain(self.kind, dim, self.layers, self.hidden)

    def log_prob(self, z: Tensor, model: Model) -> Tensor:
        """(..., B) nats for codes (..., B, D)."""
        start, log_det = self.flow(z)
        return standard_log_prob(start) + log_det

    def sample(self, n: int, model: Model) -> Tensor:
        """(n, D) codes."""
        start = torch.randn(n, self.dim, device=next(self.flow.parameters()).device)
        return self.flow.inverse(start)[0]


@final
class Vamp(Prior):
    """The mean of the posteriors of `pseudo_inputs` learned rows (Tomczak and Welling 2018), for any posterior.

    The rows start as training rows, and keep the side information and the length that they start with. They are encoded
    anew at each call.

    Formula: p(z) = 1/K Σ_k q(z|u_k)

    Look at: the pseudo-inputs decoded: samples of the prior.
    """

    spaces: ClassVar = ("real", "sphere", "onehot")
    mask: Tensor | None
    context: Tensor | None

    def __init__(self, pseudo_inputs: Count = 500):
        super().__init__()
        self.count = pseudo_inputs

    def adapt(self, dim: int, shape: Sequence[int], context: int = 0) -> None:
        """Pseudo-inputs of the rows' shape, zeros until the first step."""
        self.rows = nn.Parameter(torch.zeros(self.count, *shape))
        sequences = len(shape) == 2
        self.register_buffer("mask", torch.ones(self.count, shape[0], dtype=torch.bool) if sequences else None)
        self.register_buffer("context", torch.zeros(self.count, context) if context else None)

    def begin(self, model: Model, split: Examples) -> None:
        """The pseudo-inputs become training rows."""
        batches = list(split.sample(self.count).batches(1024))
        rows = torch.cat([batch.x for batch in batches])
        masks = [batch.mask for batch in batches if batch.mask is not None]
        contexts = [context for batch in batches if (context := model.condition(batch)) is not None]
        places = torch.arange(self.count, device=rows.device) % len(rows)
        self.rows.copy_(rows[places])
        if self.mask is not None and masks:
            self.mask.copy_(torch.cat(masks)[places])
        if self.context is not None:
            self.context.copy_(torch.cat(contexts)[places])

    def posterior(self, model: Model) -> Posterior:
        """Those of the pseudo-inputs, K rows."""
        rows = self.rows if self.mask is None else self.rows * self.mask.unsqueeze(-1)
        return model.encode(rows, self.context, self.mask).posterior

    def log_prob(self, z: Tensor, model: Model) -> Tensor:
        """(..., B) nats for codes (..., B, D)."""
        posterior, few = self.posterior(model), max(1, AT_ONCE // z.numel())
        if few >= self.count:
            return posterior.log_prob(z.unsqueeze(-2)).logsumexp(-1) - math.log(self.count)
        parts = torch.arange(self.count, device=z.device).split(few)
        each = [posterior.pick(part).log_prob(z.unsqueeze(-2)).logsumexp(-1) for part in parts]
        return torch.stack(each).logsumexp(0) - math.log(self.count)

    def sample(self, n: int, model: Model) -> Tensor:
        """(n, D) codes, each of the posterior of one pseudo-input."""
        chosen = torch.randint(self.count, (n,), device=self.rows.device)
        return self.posterior(model).pick(chosen).sample()
