"""A normal law fitted to codes: its draws have their mean and covariance."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor

from aeexp.exercises.records import Exercise, Law
from aeexp.exercises.wording import require_shape, show


def _codes() -> Tensor:
    mixing = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.3, 0.0], [0.0, 0.5, 2.0]])
    return torch.randn(5000, 3) @ mixing.T + torch.tensor([1.0, -2.0, 5.0])


def _draw(module: ModuleType, state: object, n: int, units: int = 3) -> Tensor:
    return require_shape(module.draw(state, n), (n, units), f"{n:,} draws of codes of {units} units")


def _sampler_gives_so_many(module: ModuleType) -> str | None:
    found = _draw(module, module.fit(_codes()), 11)
    return None if bool(found.isfinite().all()) else "draws are not finite numbers"


def _sampler_has_the_mean(module: ModuleType) -> str | None:
    codes = _codes()
    found, wanted = _draw(module, module.fit(codes), 20_000).mean(0), codes.mean(0)
    bound = 5 * codes.std(0) / math.sqrt(20_000)  # five standard errors
    if not bool(((found - wanted).abs() <= bound).all()):
        return f"draws have the mean {_round(found)}, codes {_round(wanted)}"
    return None


def _sampler_has_the_covariance(module: ModuleType) -> str | None:
    codes = _codes()
    found, wanted = _draw(module, module.fit(codes), 20_000).T.cov(), codes.T.cov()
    off = (found - wanted).abs() / (codes.std(0)[:, None] * codes.std(0))
    if not bool((off <= 5 * math.sqrt(2 / 20_000)).all()):  # five of a variance's errors
        row, column = divmod(int(off.nan_to_num(math.inf).argmax()), 3)
        apart = bool(found[0, 1].abs() < 0.1)
        hint = ": units of the codes go together, and yours are drawn one by one" if apart else ""
        what = f"variance of unit {row + 1}" if row == column else f"covariance of units {row + 1} and {column + 1}"
        return f"the {what} is {show(found[row, column])}, of the codes {show(wanted[row, column])}{hint}"
    return None


def _sampler_draws_anew(module: ModuleType) -> str | None:
    codes = _codes()
    state = module.fit(codes)
    found = _draw(module, state, 50)
    if bool((found == _draw(module, state, 50)).all()):
        return "two calls of draw give the same codes: is a seed set inside?"
    if bool((found[:, None] == codes).all(-1).any()):
        return "draws are rows of the codes themselves: fit a law to them, and draw from the law"
    return None


def _sampler_bears_a_dead_unit(module: ModuleType) -> str | None:
    codes = torch.cat([torch.randn(500, 2), torch.zeros(500, 1)], 1)
    try:
        found = _draw(module, module.fit(codes), 100)
    except (RuntimeError, ValueError) as error:  # NotImplementedError of a sheet is one of the first
        if isinstance(error, NotImplementedError):
            raise
        kind = type(error).__name__
        return (
            f"a unit that is 0 in every row makes the covariance singular, and it ended with {kind}: take eigenvalues, "
            "those below 0 as 0, or add a little (1e-6) to the diagonal"
        )
    if not bool(found.isfinite().all()):
        return "a unit that is 0 in every row gives draws that are not finite numbers"
    if float(found[:, 2].abs().max()) > 0.05:
        size = show(found[:, 2].abs().max())
        return f"a unit that is 0 in every row is up to {size} in draws, where 0.05 is let pass: a jitter is small"
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
