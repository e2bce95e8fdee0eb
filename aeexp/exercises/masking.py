"""A noise that hides values: the law of its share."""

from __future__ import annotations

import math
from types import ModuleType

import torch

from aeexp.exercises.records import Exercise, Law


def _mask_hides_its_share(module: ModuleType) -> str | None:
    x, p = torch.ones(400, 100), 0.3
    share = float((module.mask(x, p) == 0).float().mean())
    bound = 5 * math.sqrt(p * (1 - p) / x.numel())  # five standard deviations of a share of so many draws
    if abs(share - p) > bound:
        hint = ": p is the share that is hidden, not the one that is kept" if abs(share - 1 + p) < bound else ""
        return f"of 40,000 values with p = 0.3 a share of {share:.3f} is 0, where 0.3 ± {bound:.3f} is law{hint}"
    return None


def _mask_keeps_the_rest(module: ModuleType) -> str | None:
    x = torch.rand(50, 20) + 1
    found = module.mask(x.clone(), 0.4)
    kept = found != 0
    if bool((found[kept] != x[kept]).any()):
        return "what is not hidden stays as it is: it is not divided by 1 − p, as dropout does, and no noise is added"
    return None


def _mask_leaves_its_input(module: ModuleType) -> str | None:
    x = torch.ones(20, 20)
    module.mask(x, 0.5)
    if bool((x != 1).any()):
        return "the input itself was changed: its owner still needs the clean rows, so work on a copy"
    return None


def _mask_draws_each_value_anew(module: ModuleType) -> str | None:
    x = torch.ones(2000, 2)
    first, second = module.mask(x, 0.5), module.mask(x, 0.5)
    if bool((first == second).all()):
        return "two calls hide the same values: each call draws anew"
    both = float(((first == 0).all(1)).float().mean())
    bound = 5 * math.sqrt(0.25 * 0.75 / 2000)
    if abs(both - 0.25) > bound:
        return (
            f"both of two values are hidden in a share of {both:.2f} of rows, where 0.25 is that of independent draws"
        )
    return None


EXERCISE = Exercise(
    "masking",
    ("mask",),
    (
        Law("the share that is hidden", 2, _mask_hides_its_share),
        Law("the rest stays", 2, _mask_keeps_the_rest),
        Law("the input stays", 2, _mask_leaves_its_input),
        Law("each value is drawn by itself, at every call", 2, _mask_draws_each_value_anew),
    ),
)
