"""The KL term of a VAE: 0 for the prior, and what draws say."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor

from aeexp.exercises.records import Exercise, Law
from aeexp.exercises.wording import differs, guess, require_shape, show


def _call(module: ModuleType, mean: Tensor, log_variance: Tensor) -> Tensor:
    rows, units = mean.shape
    what = f"kl of {'1 row' if rows == 1 else f'{rows} rows'} of {units} units"
    hint = "sum over the units of a row, and take no sum or mean over rows"
    return require_shape(module.kl(mean, log_variance), (rows,), what, hint)


def _kl_is_one_number_a_row(module: ModuleType) -> str | None:
    _call(module, torch.randn(7, 3), torch.randn(7, 3))
    return None


def _kl_of_the_prior_is_zero(module: ModuleType) -> str | None:
    found = _call(module, torch.zeros(4, 5), torch.zeros(4, 5))
    if differs(found, torch.zeros(4), 1e-6):  # exact but for rounding
        hint = guess(
            found[0], [(2.5, "the 1 of each unit is not subtracted"), (5.0, "the 1 of each unit is not subtracted")]
        )
        if not bool(found.isfinite().all()):
            hint = ": the second argument is a logarithm already, which is 0 for a variance of 1"
        return f"N(0, I) against itself should be 0, and is {show(found[0])}{hint}"
    return None


def _kl_of_a_moved_mean(module: ModuleType) -> str | None:
    mean = torch.tensor([[1.0, -2.0, 0.5]])
    found, wanted = _call(module, mean, torch.zeros(1, 3)), mean.square().sum(1) / 2
    if differs(found, wanted, 1e-5):
        hint = guess(found[0], [
            (2 * wanted, "the factor 1/2 is missing"),
            (wanted / 3, "it is a sum over units, no mean"),
            (-wanted, "the sign is wrong, for a divergence is never below 0"),
            (wanted + 1.5, "the 1 of each unit is not subtracted"),
        ])  # fmt: skip
        return (
            f"N(m, I) against N(0, I) is |m|² / 2: of m = (1, -2, 0.5) {show(wanted[0])}, and yours is "
            f"{show(found[0])}{hint}"
        )
    return None


def _kl_is_what_draws_say(module: ModuleType) -> str | None:
    mean, log_variance = torch.tensor([[0.7, -0.3]]), torch.tensor([[-1.0, 0.8]])
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    z = posterior.sample((200_000,))
    values = (posterior.log_prob(z) - torch.distributions.Normal(0.0, 1.0).log_prob(z)).sum(-1)
    found, mean_of_draws = _call(module, mean, log_variance), values.mean()
    bound = 5 * float(values.std()) / math.sqrt(len(values))  # five standard errors of the mean
    if differs(found, mean_of_draws[None], bound):
        right, other = (_kl(mean, factor * log_variance) for factor in (1.0, 2.0))
        squared = right + 0.5 * ((2 * log_variance).exp() - log_variance.exp()).sum()
        of_deviation = "the second argument is the logarithm of the variance, not of the deviation"
        reverse = 0.5 * ((1 + mean.square()) / log_variance.exp() - 1 + log_variance).sum()
        hint = guess(found[0], [
            (other, of_deviation),
                (squared, of_deviation),
            (reverse, "this is the divergence of the prior from q; the mean is over z drawn from q"),
            (2 * right, "the factor 1/2 is missing"),
            (right / 2, "it is a sum over units, no mean"),
            (-right, "the sign is wrong"),
            (right + 1, "the 1 of each unit is not subtracted"),
            (mean.square().sum() / 2, "the variance is not in it"),
            (mean.square().sum(), "the variance is not in it"),
        ], "compare each of the four parts of a unit's sum with the formula")  # fmt: skip
        return (
            f"the mean of log q(z) − log p(z) over 200,000 draws is {show(mean_of_draws)}, and yours is "
            f"{show(found[0])}{hint}"
        )
    return None


def _kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()


EXERCISE = Exercise(
    "kl",
    ("kl",),
    (
        Law("one number a row, summed over units", 1, _kl_is_one_number_a_row),
        Law("0 for the prior itself", 2, _kl_of_the_prior_is_zero),
        Law("|m|² / 2 for a moved mean", 2, _kl_of_a_moved_mean),
        Law("what draws say", 3, _kl_is_what_draws_say),
    ),
)
