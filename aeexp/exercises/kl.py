"""The KL term of a VAE: 0 for the prior, and what draws say."""

from __future__ import annotations

import math
from types import ModuleType

import torch

from aeexp.exercises.records import Exercise, Law
from aeexp.exercises.wording import check_shape, differs, show


def _kl_is_one_number_a_row(module: ModuleType) -> str | None:
    found = module.kl(torch.randn(7, 3), torch.randn(7, 3))
    hint = ": sum over the units of a row, and take no mean over rows"
    wrong = check_shape(found, (7,), "kl of 7 rows of 3 units")
    return wrong and wrong + hint


def _kl_of_the_prior_is_zero(module: ModuleType) -> str | None:
    found = module.kl(torch.zeros(4, 5), torch.zeros(4, 5))
    if differs(found, torch.zeros(4), 1e-6):  # exact but for rounding
        return f"N(0, I) against itself should be 0, and is {show(found[0])}: is the 1 of each unit subtracted?"
    return None


def _kl_of_a_moved_mean(module: ModuleType) -> str | None:
    mean = torch.tensor([[1.0, -2.0, 0.5]])
    found, wanted = module.kl(mean, torch.zeros(1, 3)), mean.square().sum(1) / 2
    if differs(found, wanted, 1e-5):
        return (
            f"N(m, I) against N(0, I) is |m|² / 2: of m = (1, -2, 0.5) {show(wanted[0])}, and yours is "
            f"{show(found[0])}: is the factor 1/2 there, and is it a sum over units, no mean?"
        )
    return None


def _kl_is_what_draws_say(module: ModuleType) -> str | None:
    mean, log_variance = torch.tensor([[0.7, -0.3]]), torch.tensor([[-1.0, 0.8]])
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    z = posterior.sample((200_000,))
    values = (posterior.log_prob(z) - torch.distributions.Normal(0.0, 1.0).log_prob(z)).sum(-1)
    found, mean_of_draws = module.kl(mean, log_variance), values.mean()
    bound = 5 * float(values.std()) / math.sqrt(len(values))  # five standard errors of the mean
    if differs(found, mean_of_draws[None], bound):
        return (
            f"the mean of log q(z) − log p(z) over 200,000 draws is {show(mean_of_draws)}, and yours is "
            f"{show(found[0])}: the second argument is the logarithm of the variance, not of the deviation"
        )
    return None


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
