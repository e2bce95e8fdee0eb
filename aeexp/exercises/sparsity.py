"""An L1 penalty, and the step that gives exact zeros."""

from __future__ import annotations

from types import ModuleType

import torch

from aeexp.exercises.records import Exercise, Law
from aeexp.exercises.wording import check_shape, differs, show


def _penalty_is_l1(module: ModuleType) -> str | None:
    z = torch.tensor([[1.0, -2.0, 0.0], [0.0, 0.0, 0.5]])
    found = module.penalty(z)
    wrong = check_shape(found, (2,), "the penalty of 2 rows")
    if wrong is None and differs(found, torch.tensor([3.0, 0.5]), 1e-6):
        return f"|1| + |−2| + |0| is 3, and yours is {show(found[0])}: sizes, summed over the units of a row"
    return wrong


def _shrinking_gives_zeros(module: ModuleType) -> str | None:
    a = torch.tensor([[0.3, -0.2, 0.0, 0.49, 2.0]])
    found = module.shrink(a, 0.5)
    if tuple(found.shape) != tuple(a.shape):
        return f"shrink should keep the shape {tuple(a.shape)}, and gives {tuple(found.shape)}"
    if bool((found[0, :4] != 0).any()):
        return (
            f"what is smaller than the weight 0.5 becomes exactly 0, and yours are {found[0, :4].tolist()}: a step "
            "along the gradient alone never gives zeros"
        )
    return None


def _shrinking_moves_the_others_by_the_weight(module: ModuleType) -> str | None:
    a = torch.tensor([[2.0, -2.0, 0.7]])
    found = module.shrink(a, 0.5)
    if differs(found, torch.tensor([[1.5, -1.5, 0.2]]), 1e-6):
        return f"2, −2 and 0.7 by a weight of 0.5 are 1.5, −1.5 and 0.2, and yours are {found[0].tolist()}"
    return None


def _shrinking_solves_its_problem(module: ModuleType) -> str | None:
    a, weight = torch.linspace(-2, 2, 41)[None].double(), 0.3
    grid = torch.linspace(-3, 3, 60_001).double()[:, None]
    best = grid[(0.5 * (grid - a) ** 2 + weight * grid.abs()).argmin(0), 0][None]
    found = module.shrink(a, weight)
    if differs(found, best, 1.01e-4):  # the grid's step
        place = int((found - best).abs().argmax())
        return (
            f"shrink(a, w) is the z of least (z − a)² / 2 + w |z|: of a = {show(a[0, place])} and w = {weight} it is "
            f"{show(best[0, place])}, and yours is {show(found[0, place])}"
        )
    return None


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
