"""Likelihoods of counts: Poisson and negative binomial, with more zeros than they expect if asked for."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aeexp.contracts import Examples, Likelihood, Model
from aeexp.tensors import clamp_through, log_gamma_ratio, sum_features

WIDEST = 15.0  # of a log-rate either way: 3 million; beyond, a step of the decoder's overflows
LOOKED_AT = 10_000  # training rows that say how large a row is

Size = Literal["none", "total"]


@final
class Poisson(Likelihood):
    """Counts whose variance is their mean; the output is the log-rate.

    `size=total` is the size factor of a row (as in Lopez et al. 2018): the decoder says which share of the row's sum
    falls to each feature, by a softmax, and the sum is given. Nats are then those of a row whose sum is known, and
    `mean` is a row of the mean sum. `zero_inflation` lets a value be 0 for a reason of its own with a probability that
    the decoder tells (Lambert 1992): two numbers a value.

    Formula: Σ_i [λ_i - x_i log λ_i + log x_i!]; λ = exp(a), of size=total Σ_i x_i · softmax(a)

    Look at: plot=predictive: zeros and variance of drawn rows beside those of the data; if these have more, take
    negative_binomial.
    """

    density: ClassVar = False
    counts: ClassVar = True
    typical: Tensor

    def __init__(self, size: Size = "none", zero_inflation: bool = False):
        super().__init__()
        self.size = size
        self.zero_inflation = zero_inflation
        self.sized = size == "total"
        self.register_buffer("typical", torch.tensor(1.0))

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One number a value, and that of a zero."""
        return widen(shape, 1 + self.zero_inflation)

    def begin(self, model: Model, split: Examples) -> None:
        """How large a row is."""
        if self.sized:
            self.typical.copy_(measure_size(split))

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B,) nats."""
        log_rate, zero = self.read(output, target, mask)
        return sum_features(-inflate(poisson_log_prob(target, log_rate), target, zero), mask)

    def mean(self, output: Tensor) -> Tensor:
        """(B, *shape) the expected counts."""
        return expect(*self.read(output, None, None))

    def restore(self, output: Tensor, target: Tensor) -> Tensor:
        """The expected counts of a row with the target's sum."""
        return expect(*self.read(output, target, None))

    def draw(self, output: Tensor, target: Tensor | None = None) -> Tensor:
        """Drawn counts."""
        log_rate, zero = self.read(output, target, None)
        return keep_zeros(torch.poisson(log_rate.exp()), zero)

    def read(self, output: Tensor, target: Tensor | None, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(B, *shape) log-rates, and logits of a zero."""
        log_rate, *zero = split_numbers(output, 1 + self.zero_inflation)
        return apply_size(log_rate, self.typical if self.sized else None, target, mask), zero[0] if zero else None


@final
class NegativeBinomial(Likelihood):
    """Counts whose variance is m + m² / r, above their mean m: what `scvi-tools` users train (Lopez et al. 2018;
    Grønbech et al. 2020). The output is log m.

    `dispersion`: `feature` is a parameter r for each, `value` one that the decoder tells for each value of each row.
    `size` and `zero_inflation` are those of likelihood=poisson: with both it is the ZINB of scVI.

    Formula: -Σ_i log NB(x_i; m_i, r_i), NB = Γ(x+r) / (Γ(r) x!) (r/(r+m))^r (m/(r+m))^x

    Look at: plot=predictive: zeros and variance of drawn rows beside those of the data; generation/nll beside that of
    likelihood=poisson.
    """

    density: ClassVar = False
    counts: ClassVar = True
    typical: Tensor

    def __init__(
        self, size: Size = "none", zero_inflation: bool = False, dispersion: Literal["feature", "value"] = "feature"
    ):
        super().__init__()
        self.size = size
        self.zero_inflation = zero_inflation
        self.dispersion = dispersion
        self.sized = size == "total"
        self.numbers = 1 + (dispersion == "value") + zero_inflation
        self.log_r: nn.Parameter | None = None
        self.register_buffer("typical", torch.tensor(1.0))

    def adapt(self, levels: int | None, shape: tuple[int, ...] = ()) -> None:
        """A dispersion for each feature: of sequences for each of a step."""
        if self.dispersion == "feature":
            self.log_r = nn.Parameter(torch.zeros(shape[1:] if len(shape) == 2 else shape))

    def output(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One number a value, its dispersion, and that of a zero."""
        return widen(shape, self.numbers)

    def begin(self, model: Model, split: Examples) -> None:
        """How large a row is."""
        if self.sized:
            self.typical.copy_(measure_size(split))

    def distortion(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B,) nats."""
        log_mean, log_r, zero = self.read(output, target, mask)
        return sum_features(-inflate(negative_binomial_log_prob(target, log_mean, log_r), target, zero), mask)

    def mean(self, output: Tensor) -> Tensor:
        """(B, *shape) the expected counts."""
        log_mean, _, zero = self.read(output, None, None)
        return expect(log_mean, zero)

    def restore(self, output: Tensor, target: Tensor) -> Tensor:
        """The expected counts of a row with the target's sum."""
        log_mean, _, zero = self.read(output, target, None)
        return expect(log_mean, zero)

    def draw(self, output: Tensor, target: Tensor | None = None) -> Tensor:
        """Drawn counts: of a Poisson whose rate is a Gamma variate."""
        log_mean, log_r, zero = self.read(output, target, None)
        r = log_r.exp().expand_as(log_mean)
        rate = torch.distributions.Gamma(r, torch.ones_like(r)).sample() * (log_mean - log_r).exp()
        return keep_zeros(torch.poisson(rate), zero)

    def read(self, output: Tensor, target: Tensor | None, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """(B, *shape) log-means, log-dispersions that broadcast, and logits of a zero."""
        log_mean, *rest = split_numbers(output, self.numbers)
        log_r = self.log_r if self.log_r is not None else rest.pop(0)
        log_mean = apply_size(log_mean, self.typical if self.sized else None, target, mask)
        return log_mean, clamp_through(log_r, -WIDEST, WIDEST), rest[0] if rest else None


def poisson_log_prob(x: Tensor, log_rate: Tensor) -> Tensor:
    """Nats of counts."""
    return x * log_rate - log_rate.exp() - torch.lgamma(x + 1)


def negative_binomial_log_prob(x: Tensor, log_mean: Tensor, log_r: Tensor) -> Tensor:
    """Nats of counts with this mean and the variance m + m² / r.

    Near Poisson's law r is large, and of what Γ(x+r) / Γ(r) and (r / (r+m))^r are made of float32 would leave nothing.
    """
    r, apart = log_r.exp(), log_mean - log_r
    ways = log_gamma_ratio(r, x) - torch.lgamma(x + 1)
    return ways - r * F.softplus(apart) - x * F.softplus(-apart)


def inflate(nats: Tensor, x: Tensor, zero: Tensor | None) -> Tensor:
    """Nats where a value is 0 for a reason of its own with the probability of these logits."""
    if zero is None:
        return nats
    other = F.logsigmoid(-zero) + nats
    return torch.where(x == 0, torch.logaddexp(F.logsigmoid(zero), other), other)


def expect(log_mean: Tensor, zero: Tensor | None) -> Tensor:
    """The mean of such counts."""
    return log_mean.exp() if zero is None else log_mean.exp() * torch.sigmoid(-zero)


def keep_zeros(drawn: Tensor, zero: Tensor | None) -> Tensor:
    """Drawn counts of which some are 0 for a reason of their own."""
    return drawn if zero is None else drawn * (torch.rand_like(drawn) >= torch.sigmoid(zero))


def widen(shape: tuple[int, ...], numbers: int) -> tuple[int, ...]:
    """The decoder's output where it gives so many numbers a value."""
    if len(shape) == 2:
        return (shape[0], shape[1] * numbers)
    return (shape[0] * numbers, *shape[1:])


def split_numbers(output: Tensor, numbers: int) -> list[Tensor]:
    """(B, *shape) each of the numbers of a value."""
    if numbers == 1:
        return [output]
    axis = 2 if output.dim() == 3 else 1
    return list(output.unflatten(axis, (-1, numbers)).movedim(axis + 1, 0))


def apply_size(log_rate: Tensor, typical: Tensor | None, target: Tensor | None, mask: Tensor | None) -> Tensor:
    """Log-rates (B, *shape), bounded; where there is a `typical` sum shares of the target's, without one of that."""
    if typical is None:
        return clamp_through(log_rate, -WIDEST, WIDEST)
    values = log_rate if mask is None else log_rate.masked_fill(~mask.unsqueeze(-1), -torch.inf)
    shares = values.flatten(1).log_softmax(1).clamp(min=-2 * WIDEST).view_as(log_rate)
    size = typical.expand(log_rate.shape[0]) if target is None else target.flatten(1).sum(1).clamp(min=1)
    return shares + size.log().view(-1, *[1] * (log_rate.dim() - 1))


def measure_size(split: Examples) -> Tensor:
    """() the mean sum of a training row."""
    sums = [batch.x.flatten(1).sum(1) for batch in split.sample(LOOKED_AT).batches(1024)]
    return torch.cat(sums).mean()
