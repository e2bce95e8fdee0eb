"""A noise that hides values: the law of its share."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor

from aeexp.exercises.records import Exercise, Law
from aeexp.exercises.wording import Wrong, differs, require_shape


def _call(module: ModuleType, x: Tensor, p: float) -> Tensor:
    found = require_shape(module.mask(x, p), tuple(x.shape), f"mask of a tensor of shape {tuple(x.shape)}")
    if found.dtype == torch.bool:
        raise Wrong("mask gives True and False: give x, with the values of one of them set to 0")
    return found


def _mask_hides_its_share(module: ModuleType) -> str | None:
    x, p = torch.ones(400, 100), 0.3
    share = float((_call(module, x, p) == 0).float().mean())
    bound = 5 * math.sqrt(p * (1 - p) / x.numel())  # five standard deviations of a share of so many draws
    if abs(share - p) > bound:
        hint = {0.0: ": none is hidden", 1.0: ": all are hidden"}.get(share, "")
        if abs(share - 1 + p) < bound:
            hint = ": p is the share that is hidden, not the one that is kept"
        return f"of 40,000 values with p = 0.3 a share of {share:.3f} is 0, where 0.3 ± {bound:.3f} is law{hint}"
    return None


def _mask_keeps_the_rest(module: ModuleType) -> str | None:
    x, p = torch.rand(50, 20) + 1, 0.4
    found = _call(module, x.clone(), p)
    kept = found != 0
    if not bool(kept.any()):
        return "nothing is left that could stay as it is"
    if bool((found[kept] != x[kept]).any()):
        scaled = not differs(found[kept], x[kept] / (1 - p), 1e-5)
        hint = "it is divided by 1 − p, as dropout does" if scaled else "other values are there"
        return f"what is not hidden stays as it is, and yours does not: {hint}"
    return None


def _mask_leaves_its_input(module: ModuleType) -> str | None:
    x = torch.ones(20, 20)
    _call(module, x, 0.5)
    if bool((x != 1).any()):
        return "the input itself was changed: its owner still needs the clean rows, so work on a copy"
    return None


def _mask_draws_each_value_anew(module: ModuleType) -> str | None:
    first, second = (_call(module, torch.ones(2000, 2), 0.5) == 0 for _ in range(2))
    if bool(first.all()) or not bool(first.any()):
        return f"of 4,000 values with p = 0.5 {'all' if bool(first.all()) else 'none'} are hidden: draw for each"
    if bool((first == second).all()):
        return "two calls hide the same values: each call draws anew; is a seed set inside?"
    both = float(first.all(1).float().mean())
    bound = 5 * math.sqrt(0.25 * 0.75 / 2000)
    if abs(both - 0.25) > bound:
        together = bool((first[:, 0] == first[:, 1]).all())
        hint = "the values of a row are hidden together" if together else "whole columns are hidden"
        hint = f": {hint}: draw a number for each value" if together or both in (0.0, 1.0) else ""
        return (
            f"both of two values are hidden in a share of {both:.2f} of rows, where 0.25 is that of independent "
            f"draws{hint}"
        )
    counts = {int((_call(module, torch.ones(10, 10), 0.5) == 0).sum()) for _ in range(20)}
    if len(counts) == 1:  # by chance in less than one of 10^20 cases: the likeliest number has 8 %
        return (
            f"each of 20 calls hides {counts.pop()} of 100 values: where each is drawn by itself, their number varies"
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
