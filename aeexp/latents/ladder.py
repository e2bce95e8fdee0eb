"""A code of several layers, each drawn given the one above."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from aeexp.contracts import Latent, Model, Posterior, Prior
from aeexp.errors import UsageError
from aeexp.latents.posteriors import Normal, read_normal, standard_log_prob
from aeexp.ranges import Count
from aeexp.types import Code, Pass


@final
class Steps(nn.Module):
    """From each layer the law of the one below: small networks, from the top down."""

    def __init__(self, widths: Sequence[int], hidden: int):
        super().__init__()
        self.widths = tuple(widths)  # of the layers, from below
        pairs = zip(widths[1:], widths, strict=False)
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(above, hidden), nn.SiLU(), nn.Linear(hidden, 2 * below)) for above, below in pairs
        )

    def forward(self, place: int, above: Tensor) -> Tensor:
        """(..., 2 d) mean and log-variance of layer `place` given the one above (..., d')."""
        return self.nets[place](above)

    def describe(self, place: int, above: Tensor | None, frozen: bool = False) -> Normal | None:
        """p(z_place | above); None of the top layer, which is N(0, I)."""
        if above is None:
            return None
        values = {name: value.detach() for name, value in self.named_parameters()} if frozen else {}
        return read_normal(functional_call(self, values, (place, above)))

    def cut(self, z: Tensor) -> list[Tensor]:
        """The layers of codes (..., D), from below."""
        return list(z.split(self.widths, -1))


@final
class Layered(NamedTuple):
    """q(z|x) = q(z_L|x) Π q(z_l|z_{l+1}, x): what the encoder says of a layer, merged by precision with what the layer
    above says of it (Sønderby et al. 2016, equations 17 to 19)."""

    said: Normal  # (B, D) by the encoder
    steps: Steps
    frozen: bool = False  # whether the networks between layers get no gradient

    def merge(self, place: int, above: Tensor | None) -> Normal:
        """q of a layer given the one above (..., d')."""
        means, log_vars = (self.steps.cut(part) for part in (self.said.mean, self.said.log_var))
        own, prior = Normal(means[place], log_vars[place]), self.steps.describe(place, above, self.frozen)
        if prior is None:
            return own
        precision, before = (-own.log_var).exp(), (-prior.log_var).exp()
        variance = 1 / (precision + before)
        return Normal((own.mean * precision + prior.mean * before) * variance, variance.log())

    def go_down(self, samples: int | None, noise: bool) -> Tensor:
        """(B, D) or (K, B, D) layer by layer from the top: draws, or the middle of each."""
        above, layers = None, []
        for place in reversed(range(len(self.steps.widths))):
            law = self.merge(place, above)
            # the top layer is the same for all K draws; below, each has its own law
            many = samples if above is None else None
            above = law.sample(many) if noise else law.mean
            layers.insert(0, above)
        return torch.cat(layers, -1)

    def sample(self, samples: int | None = None) -> Tensor:
        """(B, D), or (K, B, D)."""
        return self.go_down(samples, noise=True)

    def draw(self, samples: int) -> tuple[Tensor, Tensor]:
        """(K, B, D) and their nats (K, B)."""
        z = self.sample(samples)
        return z, self.log_prob(z)

    def laws(self, z: Tensor) -> list[Normal]:
        """q of each layer given the one above in codes (..., B, D), from below."""
        layers = self.steps.cut(z)
        return [self.merge(place, above) for place, above in enumerate([*layers[1:], None])]

    def log_prob(self, z: Tensor) -> Tensor:
        """Nats, (..., B) for codes (..., B, D)."""
        layers = self.steps.cut(z)
        nats = [law.log_prob(layer) for law, layer in zip(self.laws(z), layers, strict=True)]
        return torch.stack(torch.broadcast_tensors(*nats)).sum(0)

    def detach(self) -> Layered:
        """Without gradient to its parameters, those of the networks between layers among them."""
        return Layered(self.said.detach(), self.steps, frozen=True)

    def pick(self, index: Tensor) -> Layered:
        """Those of these rows."""
        return Layered(self.said.pick(index), self.steps, self.frozen)


@final
class TopDown(Prior):
    """p(z) = N(z_L; 0, I) Π p(z_l | z_{l+1}), whose networks the posterior uses too (Sønderby et al. 2016).

    Formula: log p(z) = log N(z_L; 0, I) + Σ_l log N(z_l; m(z_{l+1}), v(z_{l+1}))
    """

    origin: Tensor

    def __init__(self, widths: Sequence[int], hidden: int):
        super().__init__()
        self.steps = Steps(widths, hidden)
        self.register_buffer("origin", torch.zeros(()), persistent=False)  # where draws are made

    def adapt(self, dim: int, shape: Sequence[int], context: int = 0) -> None:
        """Nothing is left to know."""

    def log_prob(self, z: Tensor, model: Model) -> Tensor:
        """(..., B) nats for codes (..., B, D)."""
        layers = self.steps.cut(z)
        total = standard_log_prob(layers[-1])
        for place, above in enumerate(layers[1:]):
            law = self.steps.describe(place, above)
            assert law is not None
            total = total + law.log_prob(layers[place])
        return total

    def kl(self, posterior: Posterior, z: Tensor, model: Model) -> Tensor:
        """(B, D) nats by unit: of each layer in closed form, given what was drawn above it."""
        if isinstance(posterior, Normal):  # of a single layer
            return posterior.kl_to_standard()
        if not isinstance(posterior, Layered):
            return super().kl(posterior, z, model)
        return torch.cat(self.kl_by_layer(posterior, z), -1)

    def kl_by_layer(self, posterior: Layered, z: Tensor) -> list[Tensor]:
        """(B, d) nats of each layer, from below."""
        layers, parts = self.steps.cut(z), []
        for place, law in enumerate(posterior.laws(z)):
            above = layers[place + 1] if place + 1 < len(layers) else None
            prior = self.steps.describe(place, above)
            parts.append(law.kl_to_standard() if prior is None else kl_of_normals(law, prior))
        return parts

    def sample(self, n: int, model: Model) -> Tensor:
        """(n, D) codes, from the top down."""
        layers = [torch.randn(n, self.steps.widths[-1], dtype=self.origin.dtype, device=self.origin.device)]
        for place in reversed(range(len(self.steps.widths) - 1)):
            law = self.steps.describe(place, layers[0])
            assert law is not None
            layers.insert(0, law.sample())
        return torch.cat(layers, -1)


def kl_of_normals(q: Normal, p: Normal) -> Tensor:
    """(..., D) nats from p to q, unit by unit."""
    ratio = q.log_var - p.log_var
    return 0.5 * (ratio.exp() + (q.mean - p.mean).square() * (-p.log_var).exp() - 1 - ratio)


@final
class Ladder(Latent):
    """Layers of Gaussian codes, each drawn given the one above: what a layer is is told by the encoder and by the layer
    above, merged by their precision (ladder VAE, Sønderby et al. 2016).

    `upper` are the widths of the layers above the first, from below; the first has what they leave of `dim`, and
    without any it is latent=gaussian under N(0, I). The decoder gets all layers. The prior is learned with the model.

    Formula: p(z) = N(z_L; 0, I) Π_l N(z_l; m_l(z_{l+1}), v_l(z_{l+1}));
    q(z_l|z_{l+1}, x) ∝ N(z_l; μ_l(x), σ_l²(x)) p(z_l|z_{l+1})

    Look at: KL of each layer (latent/kl_layer_1, the lowest, ...): at 0 it has collapsed onto what the one above says.
    """

    def __init__(self, dim: Count, upper: list[Count], hidden: Count = 64):
        lowest = dim - sum(upper)
        if lowest < 1:
            raise UsageError(
                f"upper={list(upper)} leaves no unit of latent.dim={dim} for the lowest layer: take "
                f"latent.dim={sum(upper) + max(upper)}"
            )
        super().__init__(dim, 2 * dim, TopDown([lowest, *upper], hidden))
        self.layers = 1 + len(upper)
        self.by_unit = self.layers == 1

    def forward(self, h: Tensor) -> Code:
        """Drawn layers side by side, the lowest first, from mean and log-variance side by side, h (B, 2 dim)."""
        said = read_normal(h)
        assert isinstance(self.prior, TopDown)
        if self.layers == 1:
            return Code(z=said.sample(), mean=said.mean, posterior=said)
        posterior = Layered(said, self.prior.steps)
        return Code(z=posterior.sample(), mean=posterior.go_down(None, noise=False), posterior=posterior)

    def usage(self, passes: Iterable[Pass]) -> dict[str, float]:
        """Mean KL of each layer in nats, of one draw a row."""
        if self.layers == 1 or not isinstance(self.prior, TopDown):
            return {}
        total, rows = torch.zeros(self.layers, dtype=torch.float64), 0
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            for out in passes:
                posterior = out.code.posterior
                parts = self.prior.kl_by_layer(posterior, posterior.sample())
                total += torch.stack([part.sum().double().cpu() for part in parts])
                rows += len(out.code.mean)
        return {f"kl_layer_{place}": float(value / rows) for place, value in enumerate(total, 1)}
