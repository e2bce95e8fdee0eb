"""An L1 penalty, and the step that gives exact zeros."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from aeexp.exercises.records import Exercise, Law
from aeexp.exercises.wording import differs, guess, require_shape, show, show_all


def _penalty_is_l1(module: ModuleType) -> str | None:
    z = torch.tensor([[1.0, -2.0, 0.0], [0.0, 0.0, 0.5]])
    found = require_shape(module.penalty(z), (2,), "the penalty of 2 rows", "one number a row, with no mean over rows")
    if differs(found, torch.tensor([3.0, 0.5]), 1e-6):
        hint = guess(found[0], [
            (1.0, "it is a sum over the units of a row, no mean"),
            (-1.0, "sizes are summed, and the size of −2 is 2"),
            (5.0, "these are squares, which is L2"),
        ], "sizes, summed over the units of a row")  # fmt: skip
        return f"|1| + |−2| + |0| is 3, and yours is {show(found[0])}{hint}"
    return None


def _shrink(module: ModuleType, a: Tensor, weight: float) -> Tensor:
    return require_shape(
        module.shrink(a.clone(), weight), tuple(a.shape), f"shrink of a tensor of shape {tuple(a.shape)}"
    )


def _shrinking_gives_zeros(module: ModuleType) -> str | None:
    found = _shrink(module, torch.tensor([[0.3, -0.2, 0.0, 0.49, 2.0]]), 0.5)
    if not bool((found[0, :4] == 0).all()):
        return (
            f"0.3, −0.2, 0 and 0.49 are smaller than the weight 0.5 and become exactly 0, and yours are "
            f"{show_all(found[0, :4])}: a step along the gradient alone never gives zeros"
        )
    return None


def _shrinking_moves_the_others_by_the_weight(module: ModuleType) -> str | None:
    found = _shrink(module, torch.tensor([[2.0, -2.0, 0.7]]), 0.5)
    if differs(found, torch.tensor([[1.5, -1.5, 0.2]]), 1e-6):
        hint = ""
        if not differs(found, torch.tensor([[2.0, -2.0, 0.7]]), 1e-6):
            hint = ": what is larger than the weight is no longer what it was, but nearer to 0 by it"
        elif float(found[0, 1]) == 0:
            hint = ": a value below 0 is shrunk towards 0 as well, and keeps its sign"
        return f"2, −2 and 0.7 by a weight of 0.5 are 1.5, −1.5 and 0.2, and yours are {show_all(found)}{hint}"
    return None


def _shrinking_solves_its_problem(module: ModuleType) -> str | None:
    a, weight = torch.linspace(-2, 2, 41, dtype=torch.float64)[None], 0.3
    grid = torch.linspace(-3, 3, 60_001, dtype=torch.float64)[:, None]
    best = grid[(0.5 * (grid - a) ** 2 + weight * grid.abs()).argmin(0), 0][None]
    found = _shrink(module, a, weight)
    if differs(found, best, 1.01e-4):  # the grid's step
        place = int((found - best).abs().argmax())
        return (
            f"shrink(a, w) is the z of least (z − a)² / 2 + w |z|: of a = {_round(a[0, place])} and w = {weight} it is "
            f"{_round(best[0, place])}, and yours is {show(found[0, place])}"
        )
    return None


def _round(value: Tensor) -> str:
    return f"{round(float(value), 3) + 0.0:g}"


EXERCISE = Exercise(
    "sparsity",
    ("penalty", "shrink"),
    (
        Law("the penalty is the sum of sizes", 1, _penalty_is_l1),
        Law("small values become exactly 0", 2, _shrinking_gives_zeros),
        Law("large ones move by the weight", 2, _shrinking_moves_the_others_by_the_weight),
        Law("it solves its problem", 3, _shrinking_solves_its_problem),
    ),
)
