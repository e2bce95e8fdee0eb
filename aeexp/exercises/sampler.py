"""A normal law fitted to codes: its draws have their mean and covariance."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor

from aeexp.exercises.records import Exercise, Law
from aeexp.exercises.wording import check_shape, show


def _codes() -> Tensor:
    mixing = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.3, 0.0], [0.0, 0.5, 2.0]])
    return torch.randn(5000, 3) @ mixing.T + torch.tensor([1.0, -2.0, 5.0])


def _sampler_gives_so_many(module: ModuleType) -> str | None:
    return check_shape(module.draw(module.fit(_codes()), 11), (11, 3), "11 draws of codes of 3 units")


def _sampler_has_the_mean(module: ModuleType) -> str | None:
    codes = _codes()
    found, wanted = module.draw(module.fit(codes), 20_000).mean(0), codes.mean(0)
    bound = 5 * codes.std(0) / math.sqrt(20_000)  # five standard errors
    if bool(((found - wanted).abs() > bound).any()):
        return f"draws have the mean {_round(found)}, codes {_round(wanted)}"
    return None


def _sampler_has_the_covariance(module: ModuleType) -> str | None:
    codes = _codes()
    found, wanted = module.draw(module.fit(codes), 20_000).T.cov(), codes.T.cov()
    scale = codes.std(0)[:, None] * codes.std(0)
    if bool(((found - wanted).abs() / scale).max() > 5 * math.sqrt(2 / 20_000)):  # five of a variance's errors
        apart = bool(found[0, 1].abs() < 0.1)
        hint = ": units of the codes go together, and yours are drawn one by one" if apart else ""
        return f"the covariance of units 1 and 2 is {show(found[0, 1])}, of the codes {show(wanted[0, 1])}{hint}"
    return None


def _sampler_draws_anew(module: ModuleType) -> str | None:
    state = module.fit(_codes())
    if bool((module.draw(state, 50) == module.draw(state, 50)).all()):
        return "two calls of draw give the same codes: is a seed set inside?"
    return None


def _sampler_bears_a_dead_unit(module: ModuleType) -> str | None:
    codes = torch.cat([torch.randn(500, 2), torch.zeros(500, 1)], 1)
    found = module.draw(module.fit(codes), 100)
    if not bool(found.isfinite().all()) or float(found[:, 2].abs().max()) > 0.05:
        return "a unit that is 0 in every row should stay about 0 (0.05 is let pass): a jitter on the diagonal is small"
    return None


def _round(values: Tensor) -> str:
    return str([round(value, 2) for value in values.tolist()])


EXERCISE = Exercise(
    "sampler",
    ("fit", "draw"),
    (
        Law("so many as were asked for", 1, _sampler_gives_so_many),
        Law("the mean of the codes", 2, _sampler_has_the_mean),
        Law("their covariance", 3, _sampler_has_the_covariance),
        Law("new codes at every call", 1, _sampler_draws_anew),
        Law("a unit that never changes", 1, _sampler_bears_a_dead_unit),
    ),
)
